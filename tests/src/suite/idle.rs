//! A guest that has nothing to do costs nothing.

use super::Once;
use crate::guests::example;
use crate::processes::processor_time;
use crate::program::{Running, guest_command, paravane};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const ONCE: &[Once] = &[
    (
        "an_idle_guest_of_four_vcpus_uses_no_processor",
        an_idle_guest_of_four_vcpus_uses_no_processor,
    ),
    ("idle_devices_are_not_woken", idle_devices_are_not_woken),
    ("an_idle_network_is_not_woken", an_idle_network_is_not_woken),
];

/// For how long its processor time is watched.
const WATCHED: Duration = Duration::from_secs(2);

fn an_idle_guest_of_four_vcpus_uses_no_processor() {
    let mut guest = Running::start(&mut guest_command("idle", &["--vcpus", "4"]));
    assert_eq!(guest.line(), "idle\n");

    let begun = Instant::now();
    let time = || processor_time(&[guest.id()]).expect("it runs");
    let before = time();
    thread::sleep(WATCHED);
    let used = time() - before;
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(share < 0.01, "{used:?}: {:.2} % of a core", share * 100.0);

    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
}

fn idle_devices_are_not_woken() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let image = fs::File::create(path("disk.img")).expect("a file");
    image.set_len(1 << 20).expect("a sparse file");
    let options = [
        format!("--disk=path={}", path("disk.img")),
        format!("--share=path={},tag=files", folder.path().display()),
        format!("--vsock=cid=3,uds={}", path("vsock")),
        format!("--console=socket={},name=idle", path("port")),
        "--rng".to_owned(),
    ];
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let mut guest = Running::start(&mut guest_command("idle=devices", &options));
    assert_eq!(guest.line(), "idle\n");
    let devices = ["console", "disk", "rng", "share", "vsock"];
    no_device_is_woken(guest.id(), &devices);
    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
}

fn an_idle_network_is_not_woken() {
    let mut command = paravane(["run", "--timeout", "120s", "--net", "user"]);
    let mut server = Running::start(command.arg(example("http-server")));
    assert_eq!(server.line(), "http-server: http://10.0.2.15:80/\n");
    no_device_is_woken(server.id(), &["net"]);
    server.ask_to_end();
    assert_eq!(server.end().0, Some(0));
}

/// Asserts that a process has a thread for one device of each of these kinds, and that none of them
/// does anything, once what it was asked for is done.
fn no_device_is_woken(process: u32, kinds: &[&str]) {
    let begun = Instant::now();
    let expected: Vec<_> = kinds.iter().map(|kind| format!("dev-{kind}0")).collect();
    // A thread names itself, when it gets a processor first.
    let mut before = loop {
        let switches = device_switches(process);
        if switches.keys().eq(&expected) {
            break switches;
        }
        assert!(begun.elapsed() < 10 * WATCHED, "{expected:?}, {switches:?}");
        thread::yield_now();
    };
    loop {
        thread::sleep(WATCHED);
        let after = device_switches(process);
        if after == before {
            return;
        }
        assert!(begun.elapsed() < 10 * WATCHED, "{before:?}, {after:?}");
        before = after;
    }
}

/// How often each thread for a device was given a processor, by `/proc/PID/task/TID/status`.
fn device_switches(process: u32) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the program runs");
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).expect("it runs");
    tasks
        .map(|task| task.expect("a task").path())
        .map(|path| (read(&path, "comm").trim_end().to_owned(), path))
        .filter(|(name, _)| name.starts_with("dev-"))
        .map(|(name, path)| (name, switches(&read(&path, "status"))))
        .collect()
}

/// Both kinds of context switches.
fn switches(status: &str) -> u64 {
    let counts = status
        .lines()
        .filter_map(|line| line.split_once("_ctxt_switches:"))
        .map(|(_, count)| count.trim().parse::<u64>().expect("a number"));
    counts.sum()
}
