//! A guest in C: what the header gives to whoever has nothing else.

use super::InMode;
use crate::guests;
use crate::modes::Mode;
use crate::program::{Ended, end, exit_code, paravane};

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    ("the_c_guest_shows_the_abi", the_c_guest_shows_the_abi),
    ("a_c_guest_ends_as_it_wants", a_c_guest_ends_as_it_wants),
    ("a_crash_in_c_is_explained", a_crash_in_c_is_explained),
];

fn c_guest(command_line: &str, mode: Mode) -> Ended {
    end(
        paravane(["run", "--timeout", "60s", "--cmdline", command_line])
            .args(mode.options())
            .arg(guests::c_guest()),
    )
}

fn the_c_guest_shows_the_abi(mode: Mode) {
    let ended = c_guest("", mode).exits(0);
    let expected = [
        "hello from C",
        "traps: a breakpoint and a page fault were handled",
        "clock: it goes on",
        "events: sent, masked, taken",
        "upcall: it came",
        "timer: its event came, and not before its time",
        "mapping: written, found in the linear map, and gone",
    ];
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), expected);
}

fn a_c_guest_ends_as_it_wants(mode: Mode) {
    let ended = c_guest("hello exit", mode).exits(7);
    assert_eq!(ended.stdout, "hello from C\n");
    c_guest("nonsense", mode)
        .exits(2)
        .prints("unknown word on the command line: nonsense\n");
}

/// By the debug data that gcc puts into the image.
fn a_crash_in_c_is_explained(mode: Mode) {
    c_guest("crash", mode)
        .exits(exit_code::GUEST_CRASH)
        .says("a trap that this guest has no answer to")
        .says("#PF: write to 0x8")
        .says("0: crash\n             at main.c:")
        .says("kernel\n");
}
