//! `#[guest_test]`: what somebody sees who runs `cargo test` in a guest's crate.

use paravane_tests::{guests, program, workspace};
use std::process::{Command, Output};

/// Runs `cargo test` in the example, with these arguments behind `--`.
fn cargo_test(arguments: &[&str]) -> Output {
    let mut command = Command::new(guests::cargo());
    guests::clear_build_variables(&mut command);
    command
        .current_dir(workspace::root().join("guest-sdk/examples/guest-test"))
        .env("PARAVANE", program::path())
        .arg("test")
        .arg("--target-dir")
        .arg(workspace::programs().join("guest-test"))
        .args(["--", "--color=never"])
        .args(arguments);
    command.output().expect("cargo starts")
}

/// The lines of a run that say how each test ended, in the order of their names.
fn outcomes(output: &str) -> Vec<(&str, &str)> {
    let mut outcomes: Vec<_> = output
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "))
        .map(|(name, outcome)| (name.trim(), outcome))
        .collect();
    outcomes.sort_unstable();
    outcomes
}

const PASSING: [&str; 5] = [
    "tests::a_result_is_checked",
    "tests::a_test_asks_for_its_machine",
    "tests::dividing_by_zero_panics",
    "tests::sums",
    "tests::the_console_is_there",
];

const FAILING: [&str; 5] = [
    "tests::fails_by_an_assertion",
    "tests::fails_by_an_early_end",
    "tests::fails_by_an_error",
    "tests::fails_by_a_trap",
    "tests::fails_by_not_panicking",
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

// One test after the other: each needs Cargo's lock on the same directory.
#[test]
fn each_guest_test_is_a_test_of_its_own() {
    if !program::has_local_kvm("each_guest_test_is_a_test_of_its_own") {
        return;
    }
    tests_pass_and_are_left_out();
    each_failure_is_told_alone();
    tests_are_listed_and_chosen();
}

fn tests_pass_and_are_left_out() {
    let output = cargo_test(&[]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let expected = PASSING
        .map(|name| (name, "ok"))
        .into_iter()
        .chain(FAILING.map(|name| (name, "ignored")));
    let mut expected: Vec<_> = expected.collect();
    expected.sort_unstable();
    assert_eq!(outcomes(&stdout), expected);
    // What a passing guest prints is not shown.
    assert!(!stdout.contains("the sum is 55"), "{stdout}");
}

fn each_failure_is_told_alone() {
    let output = cargo_test(&["--ignored"]);
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(101), "{stdout}");
    let mut expected = FAILING.map(|name| (name, "FAILED"));
    expected.sort_unstable();
    assert_eq!(outcomes(&stdout), expected);
    let failure = |name: &str| {
        let (_, rest) = stdout
            .split_once(&format!("---- tests::{name} ----\n"))
            .unwrap_or_else(|| panic!("no failure of {name} in:\n{stdout}"));
        rest.split("\n---- tests::").next().unwrap_or(rest)
    };

    // The message, what was printed before, and the way there.
    let assertion = failure("fails_by_an_assertion");
    for part in [
        "the guest crashed\n---- the guest's console\nabout to fail\n",
        "panicked at src/main.rs:",
        "assertion `left == right` failed: sums are wrong",
        "0: guest_test::tests::fails_by_an_assertion\n             at src/main.rs:",
    ] {
        assert!(assertion.contains(part), "no {part:?} in:\n{assertion}");
    }
    let trap = failure("fails_by_a_trap");
    assert!(trap.contains("#PF: read of 0x8 (the null page)"), "{trap}");
    assert!(
        trap.contains("guest_test::tests::fails_by_a_trap"),
        "{trap}"
    );
    let early = failure("fails_by_an_early_end");
    assert!(
        early.contains("shut down before the test was over"),
        "{early}"
    );
    let error = failure("fails_by_an_error");
    assert!(error.contains("the test returned ParseIntError"), "{error}");
    let quiet = failure("fails_by_not_panicking");
    assert!(quiet.starts_with("the test did not panic\n"), "{quiet}");
}

fn tests_are_listed_and_chosen() {
    let list = text(&cargo_test(&["--list"]).stdout);
    for name in PASSING.into_iter().chain(FAILING) {
        assert!(list.contains(&format!("{name}: test\n")), "{list}");
    }
    let chosen = text(&cargo_test(&["console"]).stdout);
    assert_eq!(outcomes(&chosen), [("tests::the_console_is_there", "ok")]);
    let exact = text(&cargo_test(&["--exact", "tests::sum"]).stdout);
    assert_eq!(outcomes(&exact), []);
    let shown = cargo_test(&["--exact", "--nocapture", "tests::the_console_is_there"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("the sum is 55\n"), "{shown}");
}
