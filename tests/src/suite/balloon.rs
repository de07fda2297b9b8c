//! Memory that a guest gives back is the host's again.

use super::InMode;
use crate::modes::Mode;
use crate::program::{Running, guest_command};
use std::fs;

pub(super) const IN_EVERY_MODE: &[InMode] = &[(
    "what_a_guest_releases_the_host_has_again",
    what_a_guest_releases_the_host_has_again,
)];

/// How much the guest touches and releases, in KiB.
const SIZE: u64 = 64 << 10;

/// How much more or less it may be: page tables, and 2 MiB pages of which only a part is the
/// guest's: those at both ends of what it touches, and those of its heap and of the VMM's own memory that
/// were not touched before.
const SLACK: u64 = 12 << 10;

fn what_a_guest_releases_the_host_has_again(mode: Mode) {
    let command_line = format!("balloon={}", SIZE >> 10);
    let mut watched = Running::start(&mut guest_command(&command_line, &mode.options()));
    let untouched = step(&mut watched, "untouched");
    let touched = step(&mut watched, "touched");
    assert!(
        touched >= untouched + SIZE - SLACK,
        "{untouched} -> {touched}"
    );
    let released = step(&mut watched, "released");
    assert!(released <= untouched + SLACK, "{touched} -> {released}");
    // To read takes no memory: the host shows its page of zeros.
    let read = step(&mut watched, "read");
    assert!(read <= untouched + SLACK, "{released} -> {read}");
    let populated = step(&mut watched, "populated");
    assert!(populated >= read + SIZE - SLACK, "{read} -> {populated}");
    assert_eq!(watched.end().0, Some(0));
}

/// The memory in KiB that a guest's program has from the host, its file's own pages aside, when the
/// guest has said that it has come so far.
/// It goes on then.
fn step(guest: &mut Running, name: &str) -> u64 {
    assert_eq!(guest.line().trim_end(), name);
    let path = format!("/proc/{}/smaps_rollup", guest.id());
    let text = fs::read_to_string(path).expect("the program runs");
    let field = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"));
    let number = field.and_then(|field| field.split_whitespace().next());
    let anonymous = number
        .and_then(|number| number.parse().ok())
        .expect("a number of KiB");
    guest.write(b"\n");
    anonymous
}
