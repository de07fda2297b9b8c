//! Several guests in one process.

use super::{InMode, Once};
use crate::guests;
use crate::modes::Mode;
use crate::program::{Ended, end, end_with_input, exit_code, guest, guest_command, paravane};
use serde_json::Value;

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    (
        "two_guests_share_what_they_grant_until_it_is_taken_back",
        two_guests_share_what_they_grant_until_it_is_taken_back,
    ),
    (
        "memory_of_a_guest_that_crashes_is_gone",
        memory_of_a_guest_that_crashes_is_gone,
    ),
    (
        "two_guests_pass_messages_through_shared_memory",
        two_guests_pass_messages_through_shared_memory,
    ),
];

pub(super) const ONCE: &[Once] = &[
    (
        "each_guests_lines_are_labelled",
        each_guests_lines_are_labelled,
    ),
    (
        "the_exit_code_is_the_first_guests",
        the_exit_code_is_the_first_guests,
    ),
    (
        "the_crash_of_any_guest_is_told_and_the_others_go_on",
        the_crash_of_any_guest_is_told_and_the_others_go_on,
    ),
    (
        "a_guest_that_cannot_be_built_ends_the_others",
        a_guest_that_cannot_be_built_ends_the_others,
    ),
    ("a_time_out_ends_all_guests", a_time_out_ends_all_guests),
    ("input_is_for_the_first_guest", input_is_for_the_first_guest),
    ("a_report_is_about_each_guest", a_report_is_about_each_guest),
];

/// The lines of a guest, of the output of several.
fn lines_of(ended: &Ended, guest: u32) -> Vec<&str> {
    let label = format!("[{guest}] ");
    let lines = ended.stdout.lines();
    lines
        .filter_map(|line| line.strip_prefix(&*label))
        .collect()
}

fn two_guests_share_what_they_grant_until_it_is_taken_back(mode: Mode) {
    let other = ["--guest", "builtin,vcpus=2,cmdline=neighbour"];
    let ended = guest("neighbour", &[&mode.options()[..], &other].concat()).exits(0);
    let granter = [
        "ok  what the other guest writes arrives",
        "ok  shared memory is not released",
        "ok  memory is taken back while it is used",
        "ok  two guests share and take back at the same time",
    ];
    let attacher = [
        "ok  what may be read only can be read only",
        "ok  memory that was taken back is gone",
        "ok  memory can be gone at any moment",
        "ok  two guests share and take back at the same time",
    ];
    assert_eq!(lines_of(&ended, 0), granter);
    assert_eq!(lines_of(&ended, 1), attacher);
}

fn memory_of_a_guest_that_crashes_is_gone(mode: Mode) {
    let other = ["--guest", "builtin,vcpus=2,cmdline=neighbour=crash"];
    let ended = guest("neighbour=crash", &[&mode.options()[..], &other].concat())
        .exits(exit_code::GUEST_CRASH)
        .says("paravane: guest 0: ")
        .says("the granter crashes, as it was asked to");
    let last = lines_of(&ended, 1).pop();
    assert_eq!(
        last,
        Some("ok  a dead guest shares nothing"),
        "{}",
        ended.stdout
    );
}

fn two_guests_pass_messages_through_shared_memory(mode: Mode) {
    let image = guests::example("shared-memory");
    let mut command = paravane(["run", "--timeout", "120s"]);
    command
        .args(mode.options())
        .arg(&image)
        .arg("--guest")
        .arg(&image);
    let ended = end(&mut command).exits(0);
    let asker = [
        "asked:    who are you?",
        "answered: guest 1 of 2",
        "asked:    where is the memory?",
        "answered: in guest 0, which lets me use it",
        "asked:    what is left of it?",
        "answered: two pages, until you take them back",
        "the memory is taken back",
    ];
    let answerer = [
        "attached 8192 bytes of guest 0",
        "the memory is gone; 0 offers are left",
    ];
    assert_eq!(lines_of(&ended, 0), asker);
    assert_eq!(lines_of(&ended, 1), answerer);
}

fn each_guests_lines_are_labelled() {
    let others = [
        "--guest",
        "builtin,mem=64M,cmdline=hello",
        "--guest",
        "builtin,cmdline=help",
    ];
    let ended = guest("hello", &others).exits(0);
    let hello = ["hello from paravane-guest-kernel"];
    assert_eq!(lines_of(&ended, 0), hello);
    assert_eq!(lines_of(&ended, 1), hello);
    assert!(lines_of(&ended, 2).len() > 2, "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| line.starts_with('[')));
}

fn the_exit_code_is_the_first_guests() {
    guest("exit=7", &["--guest", "builtin,cmdline=exit=9"]).exits(7);
    guest("exit=0", &["--guest", "builtin,cmdline=exit=9"]).exits(0);
}

fn the_crash_of_any_guest_is_told_and_the_others_go_on() {
    let mut command = guest_command("echo", &["--guest", "builtin,cmdline=panic"]);
    let ended = end_with_input(&mut command, b"hello\n")
        .exits(exit_code::GUEST_CRASH)
        .says("paravane: guest 1: ")
        .says("the command line asked for a panic");
    assert_eq!(lines_of(&ended, 0), ["hello"]);
}

fn a_guest_that_cannot_be_built_ends_the_others() {
    let initrd = tempfile::NamedTempFile::new().expect("a temporary file");
    initrd.as_file().set_len(60 << 20).expect("a sparse file");
    let other = format!("builtin,mem=61M,initrd={}", initrd.path().display());
    guest("loop", &["--guest", &other])
        .exits(exit_code::BAD_CONFIGURATION)
        .says("guest 1: the initrd");
}

fn a_time_out_ends_all_guests() {
    let options = ["--timeout", "500ms", "--guest", "builtin,cmdline=loop"];
    let ended = guest("loop", &options).exits(exit_code::TIMED_OUT);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.says("--timeout");
}

fn input_is_for_the_first_guest() {
    let mut command = guest_command("echo", &["--guest", "builtin,cmdline=echo"]);
    let ended = end_with_input(&mut command, b"one\ntwo\n").exits(0);
    assert_eq!(lines_of(&ended, 0), ["one", "two"]);
    assert_eq!(lines_of(&ended, 1), [""; 0]);
}

fn a_report_is_about_each_guest() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("report.json");
    let name = path.to_str().expect("its name is text");
    let other = "builtin,mem=32M,cmdline=noop=7";
    guest("exit=3", &["--guest", other, "--report", name]).exits(3);
    let text = std::fs::read_to_string(&path).expect("the report is there");
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    assert_eq!(
        (&report["guest"], &report["exit_code"]),
        (&0.into(), &3.into())
    );
    assert_eq!(report["ending"]["exit_code"], 3);
    let others = report["other_guests"].as_array().expect("a list");
    assert_eq!(others.len(), 1);
    let other = &others[0];
    assert_eq!(other["guest"], 1);
    assert_eq!(other["memory_bytes"], 32 << 20);
    assert_eq!(other["command_line"], "noop=7");
    assert_eq!(other["ending"]["exit_code"], 0);
    let calls = other["hypercalls"].as_array().expect("a list");
    let noop = calls.iter().find(|call| call["name"] == "core_noop");
    assert_eq!(noop.expect("the call was made")["count"], 7);
}
