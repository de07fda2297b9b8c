//! Guests boot, test themselves, and end with their own exit code.

use super::{InMode, Once};
use crate::guests;
use crate::modes::Mode;
use crate::program::{end, guest, paravane};
use serde_json::Value;

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    ("self_tests_pass", self_tests_pass),
    (
        "self_tests_pass_on_four_vcpus",
        self_tests_pass_on_four_vcpus,
    ),
    ("the_exit_code_is_the_guests", the_exit_code_is_the_guests),
    ("the_example_boots", the_example_boots),
    ("a_guest_sees_how_it_runs", a_guest_sees_how_it_runs),
    ("several_vcpus_are_there", several_vcpus_are_there),
];

pub(super) const ONCE: &[Once] = &[
    ("an_initrd_reaches_the_guest", an_initrd_reaches_the_guest),
    (
        "doctor_tells_what_runs_and_what_it_costs",
        doctor_tells_what_runs_and_what_it_costs,
    ),
    (
        "a_word_the_kernel_does_not_know_is_named",
        a_word_the_kernel_does_not_know_is_named,
    ),
];

fn self_tests_pass(mode: Mode) {
    self_test(mode, "1");
}

fn self_tests_pass_on_four_vcpus(mode: Mode) {
    self_test(mode, "4");
}

fn self_test(mode: Mode, vcpus: &str) {
    let options = [&mode.options()[..], &["--vcpus", vcpus]].concat();
    let ended = guest("selftest", &options)
        .exits(0)
        .prints(" passed, 0 failed");
    assert!(!ended.stdout.contains("FAIL"), "{}", ended.stdout);
    let passed = ended.stdout.lines().filter(|line| line.starts_with("ok "));
    let count = passed.count();
    assert!(count >= 232, "only {count} tests");
}

fn the_exit_code_is_the_guests(mode: Mode) {
    for code in [0, 1, 119] {
        let ended = guest(&format!("exit={code}"), &mode.options()).exits(code);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    }
}

fn the_example_boots(mode: Mode) {
    let hello = guests::hello();
    let ended = end(paravane(["run"]).arg(hello).args(mode.options())).exits(0);
    assert_eq!(ended.stdout, "hello from hello\n");
}

fn a_guest_sees_how_it_runs(mode: Mode) {
    guest(
        "selftest=abi",
        &[&mode.options()[..], &["--mem", "20M"]].concat(),
    )
    .exits(0)
    .prints(&format!("privilege:  {}", mode.privilege))
    .prints("RAM:        20480 KiB");
}

fn several_vcpus_are_there(mode: Mode) {
    guest(
        "selftest=abi",
        &[&mode.options()[..], &["--vcpus", "4"]].concat(),
    )
    .exits(0)
    .prints("vCPUs:      4");
}

fn an_initrd_reaches_the_guest() {
    let initrd = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(initrd.path(), vec![b'x'; 12345]).expect("it can be written");
    let path = initrd.path().to_str().expect("its name is text");
    guest("selftest=memory", &["--initrd", path])
        .exits(0)
        .prints("initrd:     12345 bytes");
}

fn doctor_tells_what_runs_and_what_it_costs() {
    let ended = end(&mut paravane(["doctor", "--json"])).exits(0);
    let report: Value = serde_json::from_str(&ended.stdout).expect("it is JSON");
    let costs = report["costs"].as_array().expect("costs is a list");
    let modes = crate::modes::available();
    for mode in &modes {
        let cost = costs.iter().find(|cost| {
            cost["mode"]["privilege"] == mode.privilege && cost["mode"]["carrier"] == mode.carrier
        });
        let cost = cost.unwrap_or_else(|| panic!("{mode} was not measured: {report:#}"));
        assert_eq!(cost["problem"], Value::Null, "{mode}");
        assert!(cost["median_ns"].as_u64() > Some(0), "{mode}: {cost}");
    }
    let automatic = costs
        .iter()
        .find(|cost| cost["automatic"] == true)
        .expect("auto is measured");
    guest("selftest=abi", &[]).exits(0).prints(&format!(
        "privilege:  {}",
        automatic["mode"]["privilege"].as_str().expect("a name")
    ));
}

fn a_word_the_kernel_does_not_know_is_named() {
    guest("nonsense", &[])
        .exits(2)
        .prints("unknown word \"nonsense\" on the command line");
}
