//! Hostile calls of a running guest get an error each, and the guest goes on.

use super::InMode;
use crate::modes::Mode;
use crate::program::{exit_code, guest};

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    ("hostile_calls_are_refused", hostile_calls_are_refused),
    ("a_guest_that_races_harms_nobody_else", a_guest_that_races),
];

/// What the guest kernel's `hostile` prints that is no refusal: a batch answers how many
/// elements it carried out, and the elements have the errors.
const COUNTS: &[&str] = &[
    "batch-in-batch",
    "batch-of-what-may-not-be-in-one",
    "batch-that-stops-at-once",
];

fn hostile_calls_are_refused(mode: Mode) {
    let ended = guest("hostile", &mode.options()).exits(0);
    for (call, errno) in [
        ("unknown-call-0xffff", "ENOSYS"),
        ("reserved-bit-16", "EINVAL"),
        ("reserved-bit-63", "EINVAL"),
        ("count-of-single-call", "EINVAL"),
        ("features-at-end-of-ram", "EFAULT"),
        ("features-wrapping", "EFAULT"),
        ("features-unaligned", "EFAULT"),
        ("write-across-end-of-ram", "EFAULT"),
        ("map-page-tables", "EFAULT"),
        ("map-over-the-monitor", "EINVAL"),
        ("map-writable-and-executable", "EPERM"),
        ("unmap-shared-pages", "EINVAL"),
        ("destroy-kernels-space", "EPERM"),
        ("high-bits-in-entropy-size", "EINVAL"),
        ("batch-of-513", "E2BIG"),
        ("exit-code-120", "EINVAL"),
    ] {
        assert!(
            ended.stdout.contains(&format!("{call}: {errno}\n")),
            "{call}: {}",
            ended.stdout
        );
    }
    assert!(
        ended.stdout.ends_with("hostile: done\n"),
        "{}",
        ended.stdout
    );
    for (call, result) in ended
        .stdout
        .lines()
        .filter_map(|line| line.split_once(": "))
    {
        let refused = result.starts_with('E') || result.starts_with("0 of");
        let other = call == "hostile" || COUNTS.contains(&call);
        assert!(refused || other, "{call}: {result}");
    }
}

/// One of its vCPUs makes calls while another overwrites their arguments, and then the pages that it
/// shares with the VMM. Whatever becomes of it, the guest beside it does not notice.
fn a_guest_that_races(mode: Mode) {
    let other = [
        "--guest",
        "builtin,vcpus=2,cmdline=hostile=race",
        "--timeout",
        "60s",
    ];
    let ended = guest(
        "selftest=events,time,space,upcalls",
        &[&mode.options()[..], &other].concat(),
    )
    .prints("[0] ok  upcalls::without_a_handler_it_is_forgotten\n")
    .prints(" passed, 0 failed\n")
    .prints("[1] race: ");
    // It ends as it likes, by a crash of its own most likely; the VMM does not.
    let own = [0, exit_code::GUEST_CRASH, exit_code::TIMED_OUT];
    assert!(
        own.contains(&ended.code),
        "{}: {}",
        ended.code,
        ended.stderr
    );
    assert!(!ended.stderr.contains("thread '"), "{}", ended.stderr);
}
