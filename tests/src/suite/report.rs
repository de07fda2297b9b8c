//! The report: what a run did, for machines.

use super::Once;
use crate::program::{exit_code, guest};
use serde_json::Value;

pub(super) const ONCE: &[Once] = &[
    (
        "a_report_counts_each_hypercall",
        a_report_counts_each_hypercall,
    ),
    (
        "a_report_has_the_stages_of_the_start",
        a_report_has_the_stages_of_the_start,
    ),
    (
        "a_report_says_how_late_timers_were",
        a_report_says_how_late_timers_were,
    ),
    ("a_crash_has_a_report_too", a_crash_has_a_report_too),
    ("a_time_out_has_a_report_too", a_time_out_has_a_report_too),
];

fn report(command_line: &str, options: &[&str], code: i32) -> Value {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("report.json");
    let name = path.to_str().expect("its name is text");
    guest(command_line, &[options, &["--report", name]].concat()).exits(code);
    let text = std::fs::read_to_string(&path).expect("the report is there");
    serde_json::from_str(&text).expect("the report is JSON")
}

fn hypercall<'a>(report: &'a Value, name: &str) -> &'a Value {
    let calls = report["hypercalls"]
        .as_array()
        .expect("hypercalls is a list");
    calls
        .iter()
        .find(|call| call["name"] == name)
        .expect("the call was made")
}

fn a_report_counts_each_hypercall() {
    let report = report("noop=1234", &["--carrier", "pio"], 0);
    let noop = hypercall(&report, "core_noop");
    assert_eq!(noop["count"], 1234);
    let p50 = noop["p50_ns"].as_u64().expect("a number");
    assert!(p50 <= noop["p99_ns"].as_u64().expect("a number"));
    let calls = report["hypercalls"].as_array().expect("a list");
    let made: u64 = calls.iter().filter_map(|call| call["count"].as_u64()).sum();
    assert_eq!(
        report["exits"]["hypercall"], made,
        "every hypercall is one exit"
    );
    assert!(["ring0", "ring3"].contains(&report["mode"]["privilege"].as_str().expect("a name")));
    assert_eq!(report["mode"]["carrier"], "pio");
}

fn a_report_has_the_stages_of_the_start() {
    let report = report("hello", &[], 0);
    let stages = report["stages"].as_array().expect("stages is a list");
    let at = |name: &str| {
        let stage = stages.iter().find(|stage| stage["name"] == name);
        stage.unwrap_or_else(|| panic!("no stage {name}"))["at_us"]
            .as_u64()
            .expect("a number")
    };
    assert!(at("kvm") <= at("machine"));
    assert!(at("machine") <= at("load"));
    assert!(at("load") <= at("first_console_byte"));
    assert!(at("first_console_byte") <= at("end"));
}

fn a_report_says_how_late_timers_were() {
    let report = report("selftest=time", &[], 0);
    let number = |name: &str| report["timers"][name].as_u64().expect("a number");
    assert!(number("count") > 0);
    assert!(number("late_p50_ns") <= number("late_p99_ns"));
    assert!(number("late_p99_ns") <= number("late_max_ns"));
}

fn a_crash_has_a_report_too() {
    let report = report("panic", &[], exit_code::GUEST_CRASH);
    let text = report["ending"].to_string();
    assert!(
        text.contains("the command line asked for a panic"),
        "{text}"
    );
    assert!(
        text.contains("paravane_guest_kernel::demo::panic"),
        "{text}"
    );
}

fn a_time_out_has_a_report_too() {
    let report = report("loop", &["--timeout", "100ms"], exit_code::TIMED_OUT);
    assert_eq!(report["ending"]["exit_code"], exit_code::TIMED_OUT);
}
