//! The console of a VM's process: any number of readers, one who types, and a guest that waits for
//! none of them.

use crate::suite::Once;
use crate::vm_process::{VmProcess, plan, spec};
use paravane_api::vm::EndKind;
use paravane_control::message::Refusal;
use std::fs;

pub(super) const ONCE: &[Once] = &[
    ("who_types_and_who_reads_see_the_same", all_see_the_same),
    (
        "who_comes_late_sees_the_last_of_it",
        who_comes_late_sees_the_last,
    ),
    ("one_types_at_a_time", one_types_at_a_time),
    ("much_can_be_typed", much_can_be_typed),
    (
        "a_flood_without_a_reader_grows_nothing",
        a_flood_grows_nothing,
    ),
    ("a_slow_reader_is_told_what_it_lost", a_slow_reader_is_told),
    (
        "the_last_words_reach_every_reader",
        the_last_words_reach_every_reader,
    ),
];

fn all_see_the_same() {
    let process = VmProcess::guest("echo");
    let mut writer = process.console(true);
    let mut readers = [process.console(false), process.console(false)];
    for line in 0..20 {
        let line = format!("line {line}\n");
        writer.write(line.as_bytes());
        writer.expect(&line);
        for reader in &mut readers {
            reader.expect(&line);
        }
    }
}

fn who_comes_late_sees_the_last() {
    let process = VmProcess::guest("service");
    process.console(false).expect("serving\n");
    // Once it has come, it is there for everybody.
    process.console(false).expect("serving\n");
}

fn one_types_at_a_time() {
    let process = VmProcess::guest("echo");
    let mut first = process.console(true);
    match process.connect().into_console(true, false) {
        Err(Some(Err(Refusal::Busy(_)))) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("two may type"),
    }
    let second = process.connect().into_console(true, true);
    let mut second = second.unwrap_or_else(|reply| panic!("{reply:?}"));
    // The first one's connection ends.
    while first.read_frame() {}
    second.write(b"mine\n");
    second.expect("mine\n");
    drop(second);
    // The right is free once the process has seen that.
    let mut third = loop {
        match process.connect().into_console(true, false) {
            Ok(console) => break console,
            Err(Some(Err(Refusal::Busy(_)))) => {}
            Err(other) => panic!("{other:?}"),
        }
    };
    third.write(b"at last\n");
    third.expect("at last\n");
}

fn much_can_be_typed() {
    let process = VmProcess::guest("echo");
    let mut writer = process.console(true);
    let mut reader = process.console(false);
    // More than waits anywhere, and more than is replayed: the guest takes it as it comes.
    for number in 0..15 {
        let text = format!("{number} {}\n", "x".repeat(10_000));
        writer.write(text.as_bytes());
        reader.expect(&text);
    }
    assert_eq!(reader.lost, 0);
}

/// Resident memory in KiB.
fn resident(process: &VmProcess) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("VmRSS")
}

fn a_flood_grows_nothing() {
    let process = VmProcess::guest("flood");
    let mut connection = process.connect_running();
    // Counted by what has been written, not by time: many times what is kept.
    let mut until = |bytes: u64| {
        loop {
            match connection.ask(&paravane_control::message::Request::Stats) {
                Some(Ok(paravane_control::message::Answer::Stats(stats))) => {
                    if stats.console_bytes >= bytes {
                        return;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    };
    until(256 << 10);
    let before = resident(&process);
    until(1 << 20);
    // It reads nothing, and nobody waits for it.
    let _silent = process.console(false);
    until(2 << 20);
    let after = resident(&process);
    assert!(
        after <= before + 512,
        "resident memory grew from {before} KiB to {after} KiB"
    );
    connection.stop(0);
}

fn a_slow_reader_is_told() {
    let mut process = VmProcess::guest("flood");
    let mut console = process.console(false);
    let mut total = 0;
    // The buffers of its connection are full at some time, and the guest goes on.
    while console.lost == 0 || total == 0 {
        let mut connection = process.connect();
        for _ in 0..50 {
            connection.status();
        }
        assert!(console.read_frame());
        total += console.seen.len();
        console.seen.clear();
    }
    process.connect().stop(0);
    console.end();
    assert_eq!(process.ended().kind, EndKind::Stopped);
}

fn the_last_words_reach_every_reader() {
    let process = VmProcess::start(&plan(spec("shell")));
    let mut writer = process.console(true);
    let readers = [process.console(false), process.console(false)];
    writer.expect("paravane> ");
    writer.write(b"help\nexit 3\n");
    for reader in readers {
        let all = reader.end();
        assert!(all.contains("end with exit code N"), "{all}");
        assert!(all.ends_with("paravane> "), "{all}");
    }
}
