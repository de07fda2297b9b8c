//! Limits of a VM by a real cgroup v2, where there is one whose controllers can be used.
#![allow(unsafe_code)]

use super::Once;
use crate::program::{Running, guest_command};
use paravane_daemon::cgroup::{CgroupError, Hierarchy, Limits};
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use tempfile::TempDir;

pub(super) const ONCE: &[Once] = &[("a_vm_is_held_to_its_limits", a_vm_is_held_to_its_limits)];

/// A file system that is mounted as long as this lives.
struct Mount(TempDir);

impl Mount {
    /// Mounts cgroup v2, if this process may.
    fn cgroup2() -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let target = path_of(folder.path());
        let kind = c"cgroup2".as_ptr();
        // SAFETY: the pointers are to strings that live, or null.
        let result = unsafe { libc::mount(kind, target.as_ptr(), kind, 0, std::ptr::null()) };
        (result == 0).then(|| Self(folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let target = path_of(self.0.path());
        // SAFETY: the pointer is to a string that lives. Who still uses it does so undisturbed.
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    }
}

fn path_of(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path")
}

fn a_vm_is_held_to_its_limits() {
    let mut _mount = None;
    let hierarchy = match Hierarchy::find() {
        Err(CgroupError::NotMounted) => {
            _mount = Mount::cgroup2();
            Hierarchy::find()
        }
        found => found,
    };
    let hierarchy = match hierarchy {
        Ok(hierarchy) => hierarchy,
        Err(error) => {
            println!("SKIPPED: {error}");
            return;
        }
    };
    const NAME: &str = "paravane-suite";
    const MEMORY: u64 = 256 << 20;
    let limits = Limits {
        cpu_weight: Some(50),
        cpu_quota_percent: Some(150),
        memory: Some(MEMORY),
        pids: Some(64),
        ..Limits::default()
    };
    let group = match hierarchy.create(NAME, &limits) {
        Ok(group) => group,
        // What is told is a sentence that names what is missing.
        Err(error) => {
            println!("SKIPPED: {error}");
            return;
        }
    };
    let read = |file: &str| fs::read_to_string(group.path().join(file)).expect("it is there");
    assert_eq!(read("cpu.weight"), "50\n");
    assert_eq!(read("cpu.max"), "150000 100000\n");
    assert_eq!(read("memory.max"), format!("{MEMORY}\n"));
    assert_eq!(read("pids.max"), "64\n");

    let mut guest = Running::start(&mut guest_command("idle", &["--mem", "64M"]));
    group.add(guest.id()).expect("it runs");
    assert_eq!(guest.line(), "idle\n");
    let own = fs::read_to_string(format!("/proc/{}/cgroup", guest.id())).expect("it runs");
    assert!(own.contains(NAME), "{own}");
    assert!(group.usage().expect("it is there").memory.is_some());
    let busy = group.remove().expect_err("it has a process");
    assert!(matches!(busy, CgroupError::Busy(_)), "{busy}");

    let found = hierarchy.open(NAME).expect("it is there");
    found.kill().expect("it is possible since Linux 5.14");
    // It has ended when its end is read.
    assert_eq!(guest.end().0, None);
    found.remove().expect("it has no process any more");
    assert!(!group.path().exists());
}
