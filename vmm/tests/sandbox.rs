//! What a sandbox denies, tried in processes that are in one: this program again, which does one thing
//! and tells by its exit code, or by the signal that ends it, what came of it.
#![allow(unsafe_code)]

use paravane::sandbox::needs::{Access, DeviceWork, Needs};
use paravane::sandbox::{Identity, Sandbox, SandboxError, ThreadKind, Violation, thread};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, exit};
use std::ptr::null_mut;
use std::sync::mpsc::channel;
use std::thread::Builder;

/// What the process is to try; without it this is the test that starts such processes.
const TRIAL: &str = "PARAVANE_SANDBOX_TRIAL";
/// A file that it may read.
const READABLE: &str = "PARAVANE_SANDBOX_READABLE";

/// It was possible.
const POSSIBLE: i32 = 40;
/// It was answered with EACCES or EPERM.
const DENIED: i32 = 41;
/// It was answered with something else, which is on stderr.
const OTHER: i32 = 42;

/// How a trial ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Code(i32),
    Signal(i32),
}

const KILLED: End = End::Signal(libc::SIGSYS);

fn attempt(trial: &str, setting: &str) -> Output {
    let folder = tempfile::TempDir::new().unwrap();
    let readable = folder.path().join("readable");
    fs::write(&readable, "text").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_sandbox", "--nocapture", "--test-threads=1"])
        .env(TRIAL, format!("{trial},{setting}"))
        .env(READABLE, &readable)
        .output()
        .unwrap()
}

#[track_caller]
fn ends(trial: &str, setting: &str, expected: End) {
    let output = attempt(trial, setting);
    let end = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(end, expected, "{trial} with {setting:?}: {said}");
}

#[test]
fn files_that_are_not_needed_are_denied() {
    if !has_landlock() {
        println!("SKIPPED: this kernel has no Landlock");
        return;
    }
    ends("open /etc/passwd", "", End::Code(DENIED));
    ends("open early thread", "", End::Code(DENIED));
    ends("read needed", "", End::Code(POSSIBLE));
    ends("write needed", "", End::Code(DENIED));
    ends("make a file", "", End::Code(DENIED));
}

#[test]
fn what_is_no_business_of_a_vmm_ends_it() {
    for trial in [
        "execve",
        "fork",
        "ptrace",
        "kill another",
        "other process's thread",
        "socket inet",
        "socket netlink",
        "socket vsock",
        "ioctl terminal",
        "mmap code",
        "mprotect code",
        "unshare",
        "mount",
        "personality",
        "io_uring",
        "memfd",
        "fcntl owner",
        "prctl dumpable",
        "bpf",
        "setuid",
    ] {
        ends(trial, "", KILLED);
    }
}

#[test]
fn what_devices_need_is_possible_with_them_only() {
    ends("socket inet", "network", End::Code(POSSIBLE));
    ends("socket netlink", "network", KILLED);
    ends("socket unix", "vsock", End::Code(POSSIBLE));
    ends("socket inet", "vsock", KILLED);
    ends("io_uring", "disk", End::Code(OTHER));
    ends("io_uring", "network", KILLED);
    ends("memfd", "rebuilds", End::Code(POSSIBLE));
    ends("execve", "rebuilds", KILLED);
    ends("ptrace", "rebuilds", KILLED);
}

#[test]
fn each_kind_of_thread_does_only_its_own() {
    ends("epoll", "", End::Code(POSSIBLE));
    ends("epoll", "vcpu", KILLED);
    ends("new thread", "vcpu", KILLED);
    ends("spawn by the spawner", "vcpu", End::Code(POSSIBLE));
    ends("kvm ioctl", "vcpu", End::Code(OTHER));
    ends("kvm ioctl", "device", KILLED);
    ends("epoll", "device", End::Code(POSSIBLE));
    ends("socket unix", "vsock vcpu", KILLED);
    ends("unlink", "control", End::Code(OTHER));
    ends("unlink", "vcpu", KILLED);
}

#[test]
fn every_thread_has_lost_its_rights() {
    ends("status", "", End::Code(POSSIBLE));
    if is_root() {
        ends("status", "identity", End::Code(POSSIBLE));
    }
}

#[test]
fn a_process_has_one_sandbox() {
    ends("twice", "", End::Code(POSSIBLE));
}

#[test]
fn a_trap_names_what_was_not_allowed() {
    let output = attempt("ptrace", "trap");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(128 + libc::SIGSYS), "{said}");
    let expected = "the sandbox does not allow the system call ptrace (101) with 0x0, ";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn what_is_only_logged_is_done() {
    ends("memfd", "log", End::Code(POSSIBLE));
}

fn is_root() -> bool {
    // SAFETY: it has no precondition.
    unsafe { libc::geteuid() == 0 }
}

fn has_landlock() -> bool {
    // SAFETY: with this flag the call takes no attributes, and gives a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) > 0 }
}

/// The process that tries something; nothing in a run of all tests.
#[test]
fn in_a_sandbox() {
    let Ok(text) = std::env::var(TRIAL) else {
        return;
    };
    let (trial, setting) = text.split_once(',').unwrap();
    let result = in_sandbox(trial, setting);
    let code = match &result {
        Ok(()) => POSSIBLE,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => DENIED,
        Err(error) => {
            eprintln!("{error}");
            OTHER
        }
    };
    exit(code);
}

fn in_sandbox(trial: &str, setting: &str) -> io::Result<()> {
    let mut needs = Needs::default();
    let readable = std::env::var(READABLE).unwrap();
    needs.path(Path::new(&readable), Access::Read);
    let mut violation = Violation::Kill;
    let (mut identity, mut kind) = (None, None);
    for word in setting.split_whitespace() {
        match word {
            "network" => _ = needs.devices.insert(DeviceWork::UserNetwork),
            "vsock" => _ = needs.devices.insert(DeviceWork::UnixSockets),
            "disk" => _ = needs.devices.insert(DeviceWork::Disk),
            "rebuilds" => needs.rebuilds = true,
            "trap" => violation = Violation::Trap,
            "log" => violation = Violation::Log,
            "identity" => identity = Some(OTHER_USER),
            "vcpu" => kind = Some(ThreadKind::Vcpu),
            "device" => kind = Some(ThreadKind::Device),
            "control" => kind = Some(ThreadKind::Control),
            _ => panic!("{word}"),
        }
    }
    // A thread that is there before the sandbox.
    let (ask, asked) = channel::<()>();
    let early = std::thread::spawn(move || {
        let _ = asked.recv();
        File::open("/etc/passwd").map(drop)
    });
    let sandbox = Sandbox {
        needs,
        identity,
        violation,
        strict: false,
    };
    let entered = sandbox.clone().enter().unwrap();
    assert!(entered.no_new_privileges && entered.seccomp);
    if let Some(kind) = kind {
        thread::narrow(kind).unwrap();
    }
    match trial {
        "open early thread" => {
            drop(ask);
            early.join().unwrap()
        }
        "twice" => match sandbox.enter() {
            Err(SandboxError::Twice) => Ok(()),
            other => panic!("{other:?}"),
        },
        "status" => {
            check_status(identity);
            Ok(())
        }
        "read needed" => File::open(&readable).map(drop),
        "write needed" => File::options().append(true).open(&readable).map(drop),
        "make a file" => File::create(format!("{readable}.new")).map(drop),
        "new thread" => Builder::new().spawn(|| ())?.join().map_err(|_| panic!()),
        "spawn by the spawner" => {
            let join = thread::spawn(Builder::new(), || thread::narrow(ThreadKind::Device))?;
            join.join().unwrap().map_err(io::Error::other)
        }
        _ => system_call(trial),
    }
}

const OTHER_USER: Identity = Identity {
    uid: 61234,
    gid: 61235,
};

/// Looks at what the kernel says of each thread (proc(5)).
fn check_status(identity: Option<Identity>) {
    let mut threads = 0;
    for entry in fs::read_dir("/proc/self/task").unwrap() {
        let status = fs::read_to_string(entry.unwrap().path().join("status")).unwrap();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{status}"))
                .trim()
                .to_string()
        };
        assert_eq!(line("NoNewPrivs:"), "1");
        assert_eq!(line("Seccomp:"), "2");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            let root = is_root() || identity.is_some();
            if root || set != "CapBnd:" {
                assert_eq!(line(set), "0000000000000000", "{set}");
            }
        }
        if let Some(Identity { uid, gid }) = identity {
            assert_eq!(line("Uid:"), [uid.to_string().as_str(); 4].join("\t"));
            assert_eq!(line("Gid:"), [gid.to_string().as_str(); 4].join("\t"));
            assert_eq!(line("Groups:"), "");
        }
        assert_eq!(line("Umask:"), "0077");
        threads += 1;
    }
    // The harness's, this one, the early one, and the spawner.
    assert!(threads >= 4, "{threads}");
    let mut core = libc::rlimit {
        rlim_cur: 1,
        rlim_max: 1,
    };
    // SAFETY: the pointer is to a live value.
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &mut core) };
    assert_eq!((core.rlim_cur, core.rlim_max), (0, 0));
}

fn system_call(trial: &str) -> io::Result<()> {
    let none = null_mut::<libc::c_void>();
    // SAFETY: none of these calls touches memory that is used; those that are given pointers are
    // given ones that lead to what they expect, or nowhere.
    let result = unsafe {
        match trial {
            "open /etc/passwd" => return File::open("/etc/passwd").map(drop),
            "execve" => {
                let arguments = [c"/bin/true".as_ptr(), std::ptr::null()];
                let result =
                    libc::execve(arguments[0], arguments.as_ptr(), arguments[1..].as_ptr());
                result.into()
            }
            "fork" => libc::fork().into(),
            "ptrace" => libc::syscall(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, none, none),
            "kill another" => libc::kill(1, 0).into(),
            "other process's thread" => libc::syscall(libc::SYS_tgkill, 1, 1, 0),
            "socket inet" => libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0).into(),
            "socket unix" => libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).into(),
            "socket netlink" => libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, 0).into(),
            "socket vsock" => libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).into(),
            "ioctl terminal" => libc::ioctl(0, libc::TIOCSTI, c"x".as_ptr()).into(),
            "kvm ioctl" => libc::ioctl(0, 0xae80, 0).into(),
            "mmap code" => {
                let rights = libc::PROT_READ | libc::PROT_EXEC;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                -i64::from(libc::mmap(none, 4096, rights, flags, -1, 0) == libc::MAP_FAILED)
            }
            "mprotect code" => {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let page = libc::mmap(none, 4096, libc::PROT_READ, flags, -1, 0);
                libc::mprotect(page, 4096, libc::PROT_EXEC).into()
            }
            "unshare" => libc::unshare(libc::CLONE_NEWUSER).into(),
            "mount" => libc::mount(null_mut(), c"/".as_ptr(), null_mut(), 0, none).into(),
            "personality" => libc::personality(0xffff_ffff).into(),
            "io_uring" => libc::syscall(libc::SYS_io_uring_setup, 1, none),
            "memfd" => libc::memfd_create(c"x".as_ptr(), 0).into(),
            "fcntl owner" => libc::fcntl(0, libc::F_SETOWN, 1).into(),
            "prctl dumpable" => libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0).into(),
            "bpf" => libc::syscall(libc::SYS_bpf, 0, none, 0),
            "setuid" => libc::setuid(0).into(),
            "epoll" => libc::epoll_create1(0).into(),
            "unlink" => libc::unlink(c"/no/such/file".as_ptr()).into(),
            _ => panic!("{trial}"),
        }
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
