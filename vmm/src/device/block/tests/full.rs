//! A host whose file system is full.
#![allow(unsafe_code)]

use super::rig::{DATA, Rig};
use super::*;
use std::ffi::CString;
use std::thread;
use tempfile::TempDir;

/// Mounts a small file system that only this thread, and those that it starts, can see. That needs
/// root.
fn mount_small(path: &Path) -> bool {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let (none, size) = (std::ptr::null(), c"size=2m");
    // SAFETY: all strings end with a zero, and nothing else is passed by address.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                none,
                c"/".as_ptr(),
                none,
                libc::MS_REC | libc::MS_PRIVATE,
                none.cast(),
            ) == 0
            && libc::mount(
                c"tmpfs".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                size.as_ptr().cast(),
            ) == 0
    }
}

#[test]
fn a_full_host_gives_io_errors_until_there_is_room_and_loses_nothing() {
    let small = |folder: &TempDir| {
        if !mount_small(folder.path()) {
            eprintln!("not tested: mounting a file system needs root");
            return;
        }
        let path = folder.path().join("disk");
        File::create(&path).unwrap().set_len(16 << 20).unwrap();
        let filler = folder.path().join("filler");
        fs::write(&filler, vec![1; 1 << 20]).unwrap();
        let mut rig = Rig::new(&path.display().to_string());
        let size = 256 << 10;
        let mut written = Vec::new();
        let refused = (0_u64..).find(|number| {
            rig.put(DATA, &pattern(*number as usize, size));
            let status = rig.one(OUT, number * 512, &[(DATA, size as u32, false)]);
            written.push(*number);
            status == IOERR
        });
        let refused = refused.unwrap();
        written.pop();
        assert!(refused < 8, "{refused}");
        assert_eq!(rig.one(FLUSH, 0, &[]), OK);
        assert_eq!(rig.one(IN, 0, &[(DATA, 512, true)]), OK);
        assert!(!rig.needs_reset());

        fs::remove_file(filler).unwrap();
        rig.put(DATA, &pattern(refused as usize, size));
        assert_eq!(
            rig.one(OUT, refused * 512, &[(DATA, size as u32, false)]),
            OK
        );
        assert_eq!(rig.one(FLUSH, 0, &[]), OK);
        written.push(refused);
        for number in written {
            assert_eq!(rig.one(IN, number * 512, &[(DATA, size as u32, true)]), OK);
            assert_eq!(rig.get(DATA, size), pattern(number as usize, size));
        }
    };
    let folder = TempDir::new().unwrap();
    thread::scope(|scope| scope.spawn(|| small(&folder)).join()).unwrap();
}
