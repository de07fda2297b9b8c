//! The log of a VM.

use crate::suite::Once;
use crate::vm_process::{VmProcess, plan, spec};
use paravane_api::log::{LogLevel, LogSource};
use paravane_control::message::{Answer, Request};
use std::fs;

pub(super) const ONCE: &[Once] = &[
    ("the_log_tells_a_vms_life", the_log_tells_a_vms_life),
    ("a_log_is_rotated", a_log_is_rotated),
    (
        "a_flood_does_not_fill_the_log",
        a_flood_does_not_fill_the_log,
    ),
    ("the_daemon_writes_to_the_log", the_daemon_writes_to_the_log),
    ("a_vm_runs_without_a_log", a_vm_runs_without_a_log),
];

fn the_log_tells_a_vms_life() {
    let mut process = VmProcess::guest("service");
    process.console(false).expect("serving\n");
    process.connect().stop(100_000);
    process.ended();
    let log = process.log();
    let lines: Vec<_> = log
        .iter()
        .map(|line| (line.source, line.message.as_str()))
        .collect();
    let at = |source, text: &str| {
        let found = lines
            .iter()
            .position(|line| line.0 == source && line.1.starts_with(text));
        found.unwrap_or_else(|| panic!("no {text:?} in {lines:?}"))
    };
    let runs = at(LogSource::Vmm, "the guest runs: ");
    let asked = at(LogSource::Vmm, "the guest was asked to shut down");
    let serving = at(LogSource::Console, "serving");
    let last_words = at(LogSource::Console, "shutting down");
    let ended = at(LogSource::Vmm, "the guest ended with code 0");
    assert!(runs < asked && serving < last_words && last_words < ended);
    assert_eq!(ended, lines.len() - 1);
    assert!(log.iter().all(|line| line.time.ends_with('Z')));
    // A kernel that has less than all of the sandbox's parts is warned of.
    let warned = log.iter().filter(|line| line.level != LogLevel::Info);
    for line in warned {
        assert!(line.message.contains("sandbox"), "{line:?}");
    }
}

fn a_log_is_rotated() {
    let mut plan = plan(spec("selftest"));
    plan.log.size = 4 << 10;
    plan.log.files = 2;
    let mut process = VmProcess::start(&plan);
    assert_eq!(process.ended().exit_code, 0);
    let size = |path| fs::metadata(path).map(|file| file.len());
    let folder = &process.folder;
    for path in [folder.log(), folder.old_log(1), folder.old_log(2)] {
        let size = size(path.clone()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!((1..=4 << 10).contains(&size), "{size}");
    }
    assert!(!folder.old_log(3).exists());
    let last = process.log().pop().expect("there is a line");
    assert_eq!(last.message, "the guest ended with code 0");
}

fn a_flood_does_not_fill_the_log() {
    let mut plan = plan(spec("flood"));
    plan.log.rate = 4 << 10;
    plan.log.size = 64 << 20;
    let mut process = VmProcess::start(&plan);
    let mut connection = process.connect_running();
    loop {
        match connection.ask(&Request::Stats) {
            Some(Ok(Answer::Stats(stats))) if stats.console_bytes > 1 << 20 => break,
            Some(Ok(Answer::Stats(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    connection.stop(0);
    process.ended();
    let log = process.log();
    let left_out = log.iter().filter(|line| {
        line.source == LogSource::Vmm
            && line.level == LogLevel::Warn
            && line.message.contains(" bytes of the console were left out")
    });
    assert!(left_out.count() >= 1);
    // What the log takes is no more than a second's, and the last of what the guest wrote.
    let kept: usize = log
        .iter()
        .filter(|line| line.source == LogSource::Console)
        .map(|line| line.message.len() + 1)
        .sum();
    assert!(kept < 512 << 10, "{kept}");
}

fn the_daemon_writes_to_the_log() {
    let process = VmProcess::guest("service");
    let mut connection = process.connect();
    let message = "the image was resolved".to_string();
    let reply = connection.ask(&Request::Log { message });
    assert_eq!(reply, Some(Ok(Answer::Done)));
    let log = process.log();
    let line = log.iter().find(|line| line.source == LogSource::Daemon);
    assert_eq!(line.expect("it is there").message, "the image was resolved");
}

fn a_vm_runs_without_a_log() {
    let text = serde_json::to_vec(&plan(spec("hello"))).expect("a plan is JSON");
    let mut process = VmProcess::start_with(3, &text, |folder| {
        fs::create_dir(folder.log()).expect("a folder in its place");
    });
    assert_eq!(process.ended().exit_code, 0);
}
