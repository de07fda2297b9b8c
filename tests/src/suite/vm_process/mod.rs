//! The process of a VM, which the daemon starts: it says how it is and how it ended, whatever its
//! guest and those who are connected do.

mod console;
mod log;
mod snapshot;

use super::Once;
use crate::program::exit_code;
use crate::vm_process::{Connection, VmProcess, plan, spec};
use paravane_api::device::{Devices, Disk};
use paravane_api::spec::Image;
use paravane_api::vm::{EndKind, Ended};
use paravane_control::message::{Answer, Phase, Refusal, Request};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};

pub(super) fn once() -> Vec<Once> {
    [ONCE, console::ONCE, log::ONCE, snapshot::ONCE].concat()
}

const ONCE: &[Once] = &[
    ("a_process_says_how_it_is", says_how_it_is),
    (
        "the_guests_code_is_the_process_s",
        the_guests_code_is_the_process_s,
    ),
    ("a_guest_is_asked_to_stop", a_guest_is_asked_to_stop),
    ("sigterm_stops_with_the_specs_grace", sigterm_stops),
    (
        "a_guest_that_does_not_stop_is_stopped",
        a_stubborn_guest_is_stopped,
    ),
    (
        "a_stop_without_grace_overtakes_another",
        a_stop_overtakes_another,
    ),
    ("a_crash_is_explained_to_the_daemon", a_crash_is_explained),
    ("a_reboot_is_an_end", a_reboot_is_an_end),
    ("a_plan_that_is_none_is_told", a_bad_plan_is_told),
    ("what_cannot_be_had_is_told", what_cannot_be_had_is_told),
    (
        "a_bad_line_ends_its_connection_only",
        a_bad_line_ends_its_connection_only,
    ),
    ("connections_come_and_go", connections_come_and_go),
    (
        "a_killed_process_says_nothing",
        a_killed_process_says_nothing,
    ),
    ("what_was_said_before_is_gone", what_was_said_before_is_gone),
    ("a_process_shows_what_its_vm_did", shows_what_its_vm_did),
    ("a_process_says_how_it_is_confined", says_how_it_is_confined),
    ("a_process_pauses_its_vm", is_paused_and_goes_on),
    (
        "a_paused_vm_can_be_asked_to_stop",
        is_asked_to_stop_while_it_is_paused,
    ),
];

fn says_how_it_is() {
    let process = VmProcess::guest("service");
    let mut connection = process.connect();
    let first = connection.status();
    assert_eq!((first.pid, first.start), (process.id(), 3));
    let status = process.connect_running().status();
    assert_eq!(status.phase, Phase::Running);
    let running = status.running.expect("the guest runs");
    assert!(["ring0", "ring3"].contains(&running.privilege.as_str()));
    assert!(["vmcall", "vmmcall", "pio"].contains(&running.carrier.as_str()));
    assert!(running.start_us > 0);
    // The earlier connection was told, if it was there before.
    if first.phase == Phase::Starting {
        let notice = connection.notice().expect("it is told");
        assert_eq!(notice.phase, Phase::Running);
    }
}

fn the_guests_code_is_the_process_s() {
    for code in [0, 7] {
        let ended = VmProcess::guest(&format!("exit={code}")).ended();
        assert_eq!((ended.kind, ended.exit_code), (EndKind::Shutdown, code));
        assert_eq!((ended.message, ended.crash), (None, None));
    }
}

/// A service that has begun to serve.
fn service(command_line: &str, grace_ms: u32) -> VmProcess {
    let mut spec = spec(command_line);
    spec.grace_ms.0 = grace_ms;
    let process = VmProcess::start(&plan(spec));
    process.console(false).expect("serving\n");
    process
}

fn a_guest_is_asked_to_stop() {
    let mut process = service("service", 0);
    let mut console = process.console(false);
    process.connect().stop(100_000);
    console.expect("shutting down\n");
    let ended = process.ended();
    assert_eq!((ended.kind, ended.exit_code), (EndKind::Shutdown, 0));
}

fn sigterm_stops() {
    let mut process = service("service", 100_000);
    // The terminal of whoever started the daemon is none of its business.
    process.signal(Signal::HUP);
    process.signal(Signal::TERM);
    let ended = process.ended();
    assert_eq!((ended.kind, ended.exit_code), (EndKind::Shutdown, 0));
}

#[track_caller]
fn assert_stopped(ended: &Ended, message: &str) {
    let code = exit_code::TERMINATED as u8;
    assert_eq!((ended.kind, ended.exit_code), (EndKind::Stopped, code));
    assert_eq!(ended.message.as_deref(), Some(message));
}

fn a_stubborn_guest_is_stopped() {
    let mut process = service("service=stubborn", 0);
    let begun = Instant::now();
    let mut connection = process.connect();
    connection.stop(400);
    assert_eq!(connection.status().phase, Phase::Stopping);
    let message = "stopped, as the guest did not shut down within 400 ms after it was asked to";
    assert_stopped(&process.ended(), message);
    assert!(begun.elapsed() >= Duration::from_millis(400));

    let mut process = VmProcess::guest("loop");
    process.connect_running().stop(100_000);
    let message = "stopped at once, as the guest does not handle requests to shut down";
    assert_stopped(&process.ended(), message);
}

fn a_stop_overtakes_another() {
    let mut process = service("service=stubborn", 0);
    let mut console = process.console(false);
    let mut connection = process.connect();
    connection.stop(100_000);
    console.expect("not now\n");
    connection.stop(0);
    assert_stopped(&process.ended(), "stopped without asking the guest");
}

fn a_crash_is_explained() {
    let mut process = VmProcess::guest("panic");
    let ended = process.ended();
    assert_eq!(ended.kind, EndKind::Crash);
    assert_eq!(i32::from(ended.exit_code), exit_code::GUEST_CRASH);
    let message = ended.message.expect("there is a cause");
    assert!(
        message.starts_with("the guest crashed: panicked at src/demo.rs:"),
        "{message}"
    );
    let crash = ended.crash.expect("there is an explanation").to_string();
    assert!(
        crash.contains("paravane_guest_kernel::demo::panic"),
        "{crash}"
    );
    let log = process.log();
    let last = &log.last().expect("there is a line").message;
    assert!(last.contains("stack backtrace:"), "{last}");
}

fn a_reboot_is_an_end() {
    let ended = VmProcess::guest("reboot").ended();
    assert_eq!((ended.kind, ended.exit_code), (EndKind::Reboot, 0));
}

#[track_caller]
fn assert_error(ended: &Ended, message: &str) {
    let code = exit_code::BAD_CONFIGURATION as u8;
    assert_eq!((ended.kind, ended.exit_code), (EndKind::Error, code));
    let told = ended.message.as_deref().expect("there is a reason");
    assert!(told.contains(message), "{told}");
}

fn a_bad_plan_is_told() {
    let ended = VmProcess::start_with(0, b"none", |_| {}).ended();
    assert_error(&ended, "plan.json cannot be used: expected ident at line 1");
    let text = br#"{"start": 9, "id": "x", "name": "x"}"#;
    let ended = VmProcess::start_with(9, text, |_| {}).ended();
    assert_error(&ended, "plan.json cannot be used: missing field `spec`");
}

fn what_cannot_be_had_is_told() {
    let mut disk = spec("hello");
    disk.devices = Devices {
        disks: vec![Disk {
            source: "/no/such,disk".to_string(),
            ..Disk::default()
        }],
        ..Devices::default()
    };
    let ended = VmProcess::start(&plan(disk)).ended();
    let message = "disk disk0: the image /no/such,disk: there is no such file";
    assert_error(&ended, message);

    let mut vcpus = spec("hello");
    vcpus.resources.vcpus = 65;
    let ended = VmProcess::start(&plan(vcpus)).ended();
    assert_error(&ended, "a VM has 1 to 64 vCPUs, not 65");

    let mut image = spec("hello");
    image.image = Image("/no/such/image".to_string());
    let mut process = VmProcess::start(&plan(image));
    let ended = process.ended();
    assert_eq!(ended.kind, EndKind::Error);
    assert_eq!(i32::from(ended.exit_code), exit_code::BAD_IMAGE);
    let log = process.log();
    assert_eq!(log.last().map(|line| &line.message), ended.message.as_ref());
}

fn a_bad_line_ends_its_connection_only() {
    let process = service("service", 0);
    let mut other = process.connect();
    let long = vec![b' '; (1 << 20) + 1];
    for bad in [&b"\"dance\"\n"[..], b"{\n", b"\xff\n", &long] {
        let mut connection = process.connect();
        connection.send(bad);
        match connection.reply() {
            Some(Err(Refusal::Unsupported(_))) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(connection.reply(), None);
    }
    assert_eq!(other.status().phase, Phase::Running);
}

fn connections_come_and_go() {
    let process = service("service", 0);
    let mut open: Vec<Connection> = (0..100).map(|_| process.connect()).collect();
    for connection in &mut open {
        assert_eq!(connection.status().phase, Phase::Running);
    }
    drop(open);
    // Each of these takes the place of one that is gone.
    for _ in 0..500 {
        process.connect().status();
    }
}

fn a_killed_process_says_nothing() {
    let mut process = service("service", 0);
    assert!(!process.kill());
}

fn what_was_said_before_is_gone() {
    let text = serde_json::to_vec(&plan(spec("service"))).expect("a plan is JSON");
    let mut process = VmProcess::start_with(3, &text, |folder| {
        fs::write(folder.exit(), "of the process before").expect("it can be written");
    });
    process.connect_running();
    assert!(!process.kill());
}

fn shows_what_its_vm_did() {
    let process = service("service", 0);
    // A call is counted when it is done, which is after its bytes can be read.
    let mut console = process.console(true);
    console.expect("serving\n");
    console.write(b"and on\n");
    console.expect("and on\n");
    let mut connection = process.connect();
    let stats = match connection.ask(&Request::Stats) {
        Some(Ok(Answer::Stats(stats))) => stats,
        other => panic!("{other:?}"),
    };
    assert_eq!(stats.console_bytes, "serving\nand on\n".len() as u64);
    assert_eq!(stats.memory.ram, 128 << 20);
    assert!(stats.memory.resident_ram > 0);
    assert!(stats.memory.resident_ram < stats.memory.ram);
    assert!(stats.memory.overhead > 0);
    assert!(stats.cpu_ns > 0 && stats.uptime_ns > 0);
    let [vcpu] = &stats.vcpus[..] else {
        panic!("{:?}", stats.vcpus);
    };
    assert!(vcpu.exits > 0 && stats.exits["hypercall"] > 0);
    let writes = &stats.hypercalls["io_console_write"].latency;
    assert_eq!(writes.count, writes.buckets.iter().sum::<u64>());
    assert!(writes.count > 0 && writes.sum_ns > 0);
}

#[track_caller]
fn pause(connection: &mut Connection) {
    assert_eq!(connection.ask(&Request::Pause), Some(Ok(Answer::Done)));
}

fn is_paused_and_goes_on() {
    let mut process = VmProcess::guest("echo");
    let mut console = process.console(true);
    let mut connection = process.connect_running();
    let mut watcher = process.connect_running();
    for _ in 0..2 {
        assert_eq!(connection.ask(&Request::Pause), Some(Ok(Answer::Done)));
        assert_eq!(connection.status().phase, Phase::Paused);
    }
    let exits = |connection: &mut Connection| match connection.ask(&Request::Stats) {
        Some(Ok(Answer::Stats(stats))) => stats.vcpus[0].exits,
        other => panic!("{other:?}"),
    };
    console.write(b"later\n");
    let before = exits(&mut connection);
    assert_eq!(exits(&mut connection), before);
    for _ in 0..2 {
        assert_eq!(connection.ask(&Request::Resume), Some(Ok(Answer::Done)));
        assert_eq!(connection.status().phase, Phase::Running);
    }
    console.expect("later\n");
    let phases = [watcher.notice(), watcher.notice()].map(|status| status.map(|one| one.phase));
    assert_eq!(phases, [Some(Phase::Paused), Some(Phase::Running)]);
    // One that is paused can be stopped.
    pause(&mut connection);
    connection.stop(0);
    assert_stopped(&process.ended(), "stopped without asking the guest");
}

fn is_asked_to_stop_while_it_is_paused() {
    let mut process = service("service", 0);
    let mut connection = process.connect();
    pause(&mut connection);
    connection.stop(100_000);
    assert_eq!(process.ended().kind, EndKind::Shutdown);
}

fn says_how_it_is_confined() {
    let sandbox = |enabled| {
        let mut plan = plan(spec("service"));
        plan.confinement.enabled = enabled;
        let process = VmProcess::start(&plan);
        let running = process.connect_running().status().running;
        running.expect("the guest runs").sandbox
    };
    let confined = sandbox(true);
    assert!(confined.no_new_privileges && confined.seccomp);
    let free = sandbox(false);
    assert!(!free.no_new_privileges && !free.seccomp && free.landlock.is_none());
    assert_eq!(free.uid, confined.uid);
}
