//! Guests whose VMM has confined itself: everything works as without. What a sandbox denies is tried in
//! vmm/tests/sandbox.rs.
//!
//! A system call that is missing from the filters ends the VMM here, and is named.

use super::{InMode, Once};
use crate::guests::example;
use crate::modes::Mode;
use crate::program::{Ended, Running, end, exit_code, guest, guest_command, paravane};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use tempfile::TempDir;

pub(super) const IN_EVERY_MODE: &[InMode] =
    &[("self_tests_pass_in_a_sandbox", self_tests_pass_in_a_sandbox)];

pub(super) const ONCE: &[Once] = &[
    (
        "a_guest_reboots_with_its_devices_in_a_sandbox",
        a_guest_reboots_with_its_devices_in_a_sandbox,
    ),
    ("devices_work_in_a_sandbox", devices_work_in_a_sandbox),
    (
        "a_user_network_works_in_a_sandbox",
        a_user_network_works_in_a_sandbox,
    ),
    (
        "sockets_and_ports_work_in_a_sandbox",
        sockets_and_ports_work_in_a_sandbox,
    ),
    (
        "what_is_told_of_a_run_is_told_in_a_sandbox",
        what_is_told_of_a_run_is_told_in_a_sandbox,
    ),
    (
        "a_sandboxed_vmm_has_lost_its_rights",
        a_sandboxed_vmm_has_lost_its_rights,
    ),
];

/// What is used here: filters that name what they do not allow, and whatever else the kernel has.
const SANDBOX: [&str; 2] = ["--sandbox=trap", "--rng"];

/// A folder, and the options for a disk in it.
fn disk() -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("disk.img");
    let file = fs::File::create(&path).expect("a file");
    file.set_len(4 << 20).expect("a sparse file");
    let option = format!("path={},queues=2,id=selftest", path.display());
    (folder, option)
}

fn self_tests_pass_in_a_sandbox(mode: Mode) {
    let (_folder, disk) = disk();
    let more = ["--disk", &disk, "--vcpus", "2"];
    let options = [&mode.options()[..], &SANDBOX, &more].concat();
    let ended = guest("selftest", &options).exits(0);
    assert!(
        ended.stdout.contains(" passed, 0 failed"),
        "{}",
        ended.stdout
    );
}

fn a_guest_reboots_with_its_devices_in_a_sandbox() {
    let (folder, disk) = disk();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (socket, file) = (
        format!("socket={}", path("port")),
        format!("file={}", path("log")),
    );
    let vsock = format!("cid=3,uds={}", path("vsock"));
    let share = format!("path={},tag=files", folder.path().display());
    let devices = [
        "--disk",
        &disk,
        "--console",
        &socket,
        "--console",
        &file,
        "--vsock",
        &vsock,
    ];
    let more = [
        "--share",
        &share,
        "--net",
        "user,hostfwd=tcp:127.0.0.1:0-80",
        "--timeout",
        "2s",
    ];
    let options = [&SANDBOX[..], &devices, &more].concat();
    // It ends by the time-out and by nothing else, having rebooted meanwhile.
    let report = path("report.json");
    let with_report = [&options[..], &["--report", &report]].concat();
    guest("reboot", &with_report).exits(exit_code::TIMED_OUT);
    let boots = &read_report(Path::new(&report))["boots"];
    assert!(boots.as_u64() > Some(1), "{boots}");
}

fn devices_work_in_a_sandbox() {
    let (folder, disk) = disk();
    fs::create_dir(folder.path().join("shared")).expect("a folder");
    fs::write(folder.path().join("shared/hello"), "hello").expect("there is room");
    let share = format!("path={},tag=files", folder.path().join("shared").display());
    let run = |what: &str, more: &[&str]| guest(what, &[&SANDBOX[..], more].concat());
    run("share=cat,path=/hello", &["--share", &share])
        .exits(0)
        .prints("hello");
    let write = |what: &str, disk: &str| run(what, &["--disk", disk]).exits(0);
    write("disk=write,count=50,size=8192,flush=10", &disk).prints("disk wrote 50\n");
    write("disk=verify,count=50,size=8192", &disk).prints("disk verified 50\n");
    // Without io_uring: by the threads of a pool.
    write("disk=verify,count=50,size=8192", &format!("{disk},ro"));
    run("balloon", &[]);
}

fn a_user_network_works_in_a_sandbox() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it has one").port();
    let host = thread::spawn(move || {
        let mut received = Vec::new();
        let (mut stream, _) = listener.accept().expect("the guest connects");
        stream.read_to_end(&mut received).expect("it is sent");
        received.len()
    });
    let mut command = paravane([
        "run",
        "--timeout",
        "120s",
        "--net",
        "user",
        "--sandbox=trap",
    ]);
    let what = format!("send 10.0.2.2 {port} bytes=100000");
    command.args(["--cmdline", &what]).arg(example("net-bench"));
    end(&mut command).exits(0);
    assert_eq!(host.join().expect("it ends"), 100_000);
}

fn sockets_and_ports_work_in_a_sandbox() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("port");
    let port = format!("socket={},name=shell", path.display());
    let options = [&SANDBOX[..], &["--console", &port]].concat();
    let mut guest = Running::start(&mut guest_command("ports=shell", &options));
    assert_eq!(guest.line(), "ports shell\n");
    let mut client = UnixStream::connect(&path).expect("the VMM listens");
    let mut read = [0; 14];
    client.read_exact(&mut read).expect("it greets");
    assert_eq!(&read, b"this is shell\n");
    client.write_all(b"hello").expect("it is read");
    client.read_exact(&mut read[..5]).expect("it is echoed");
    assert_eq!(&read[..5], b"hello");
    drop(client);
    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
    assert!(!path.exists(), "its socket goes with it");
}

fn read_report(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("the report is there");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn what_is_told_of_a_run_is_told_in_a_sandbox() {
    let folder = TempDir::new().expect("a temporary folder");
    let path: PathBuf = folder.path().join("report.json");
    let name = path.to_str().expect("its name is text");
    let run = |what: &str, more: &[&str]| -> Ended {
        guest(what, &[&SANDBOX[..], &["--report", name], more].concat())
    };
    run("panic", &[])
        .exits(exit_code::GUEST_CRASH)
        .says("guest_kernel::");
    let report = read_report(&path);
    assert_eq!(report["exit_code"], exit_code::GUEST_CRASH, "{report}");
    assert!(
        report["host_memory"]["rss_kib"].as_u64() > Some(0),
        "{report}"
    );
    run("loop", &["--timeout", "300ms"]).exits(exit_code::TIMED_OUT);
    run("hello", &["--guest", "builtin,cmdline=hello"]).exits(0);
}

/// What the kernel says of each thread of a VMM that runs a guest.
fn a_sandboxed_vmm_has_lost_its_rights() {
    let options = [&SANDBOX[..], &["--vcpus", "2"]].concat();
    let mut guest = Running::start(&mut guest_command("idle", &options));
    assert_eq!(guest.line(), "idle\n");
    let tasks = format!("/proc/{}/task", guest.id());
    let mut threads = 0;
    for task in fs::read_dir(tasks).expect("it runs") {
        let status = task.expect("it runs").path().join("status");
        let status = fs::read_to_string(status).expect("it runs");
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_string()
        };
        // A thread of the kernel's own in the process: it takes no signals.
        if line("Name:").starts_with("kvm-") {
            continue;
        }
        assert_eq!(line("NoNewPrivs:"), "1", "{status}");
        assert_eq!(line("Seccomp:"), "2", "{status}");
        assert_eq!(line("CapEff:"), "0000000000000000", "{status}");
        assert_eq!(line("CapPrm:"), "0000000000000000", "{status}");
        threads += 1;
    }
    assert!(threads >= 4, "{threads} threads");
    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
}
