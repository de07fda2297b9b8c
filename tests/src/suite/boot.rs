//! Guests boot, test themselves, and end with their own exit code.

use super::{InMode, Once};
use crate::guests;
use crate::modes::Mode;
use crate::program::{end, guest, paravane};

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    ("self_tests_pass", self_tests_pass),
    ("the_exit_code_is_the_guests", the_exit_code_is_the_guests),
    ("the_example_boots", the_example_boots),
    ("a_guest_sees_how_it_runs", a_guest_sees_how_it_runs),
    ("several_vcpus_are_there", several_vcpus_are_there),
];

pub(super) const ONCE: &[Once] = &[
    ("an_initrd_reaches_the_guest", an_initrd_reaches_the_guest),
    (
        "doctor_tells_the_default_mode",
        doctor_tells_the_default_mode,
    ),
    (
        "a_word_the_kernel_does_not_know_is_named",
        a_word_the_kernel_does_not_know_is_named,
    ),
];

fn self_tests_pass(mode: Mode) {
    let ended = guest("selftest", &mode.options())
        .exits(0)
        .prints(" passed, 0 failed");
    assert!(!ended.stdout.contains("FAIL"), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .lines()
            .filter(|line| line.starts_with("ok "))
            .count()
            >= 79
    );
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

fn doctor_tells_the_default_mode() {
    let ended = end(&mut paravane(["doctor"])).exits(0);
    let run = guest("selftest=abi", &[]).exits(0);
    let privilege = if run.stdout.contains("privilege:  ring0") {
        "ring0"
    } else {
        "ring3"
    };
    assert!(ended.stdout.contains(privilege), "{}", ended.stdout);
}

fn a_word_the_kernel_does_not_know_is_named() {
    guest("nonsense", &[])
        .exits(2)
        .prints("unknown word \"nonsense\" on the command line");
}
