//! The console: bytes in, bytes out, and nothing that a guest prints fills the host's memory.

use super::Once;
use crate::program::{end_with_input, exit_code, guest, guest_command};
use std::fmt::Write as _;
use std::io::Read;
use std::process::{Command, Stdio};

pub(super) const ONCE: &[Once] = &[
    ("what_goes_in_comes_out", what_goes_in_comes_out),
    ("the_shell_answers", the_shell_answers),
    (
        "the_end_of_the_input_ends_the_shell",
        the_end_of_the_input_ends_the_shell,
    ),
    ("a_flood_waits_for_its_reader", a_flood_waits_for_its_reader),
    (
        "a_reader_that_goes_away_does_not_end_the_guest",
        a_reader_that_goes_away,
    ),
    (
        "a_guest_that_waits_for_input_can_be_timed_out",
        waiting_for_input_times_out,
    ),
];

fn what_goes_in_comes_out() {
    let mut text = String::new();
    for line in 0..20_000 {
        writeln!(text, "line {line} of the input").expect("a string takes anything");
    }
    let ended = end_with_input(&mut guest_command("echo", &[]), text.as_bytes()).exits(0);
    assert!(
        ended.stdout == text,
        "{} of {} bytes came back",
        ended.stdout.len(),
        text.len()
    );
}

fn the_shell_answers() {
    let input = b"help\nmem\nnonsense\nexit 42\n";
    end_with_input(&mut guest_command("shell", &[]), input)
        .exits(42)
        .prints("paravane> ")
        .prints("free")
        .prints("nonsense");
}

fn the_end_of_the_input_ends_the_shell() {
    guest("shell", &[]).exits(0);
}

fn a_flood_waits_for_its_reader() {
    let mut child = guest_command("flood", &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("paravane starts");
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    let mut resident = Vec::new();
    // A pipe holds 64 KiB, so by the second piece the guest has waited for us, and by the last
    // it has written many times what any buffer could hold.
    let mut piece = vec![0; 128 << 10];
    for _ in 0..12 {
        stdout.read_exact(&mut piece).expect("the flood goes on");
        resident.push(resident_kib(child.id()));
    }
    // From here on nobody reads, so the guest is or soon will be inside a write.
    terminate(child.id());
    let ended = child.wait().expect("paravane ends");
    assert_eq!(ended.code(), Some(exit_code::TERMINATED));
    let (first, last) = (resident[1], resident[resident.len() - 1]);
    assert!(
        last <= first + 256,
        "resident memory grew from {first} KiB to {last} KiB"
    );
}

pub(super) fn terminate(process: u32) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -TERM {process}")])
        .status();
    assert!(status.expect("sh starts").success());
}

fn resident_kib(process: u32) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process is running");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let number = line.split_whitespace().next().expect("a number");
    number.parse().expect("a number")
}

fn a_reader_that_goes_away() {
    let mut child = guest_command("hostile", &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("paravane starts");
    drop(child.stdout.take());
    let ended = child.wait().expect("paravane ends");
    // The guest sees EPIPE and goes its own way to its own exit code; no signal ends the VMM.
    assert_eq!(ended.code(), Some(0));
}

fn waiting_for_input_times_out() {
    let mut child = guest_command("echo", &["--timeout", "300ms"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("paravane starts");
    // The input stays open, and empty.
    let _stdin = child.stdin.take();
    let ended = child.wait().expect("paravane ends");
    assert_eq!(ended.code(), Some(exit_code::TIMED_OUT));
}
