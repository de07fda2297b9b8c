//! Memory that a guest gives back is the host's again.

use super::InMode;
use crate::modes::Mode;
use crate::program::guest_command;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

pub(super) const IN_EVERY_MODE: &[InMode] = &[(
    "what_a_guest_releases_the_host_has_again",
    what_a_guest_releases_the_host_has_again,
)];

/// How much the guest touches and releases, in KiB.
const SIZE: u64 = 64 << 10;

/// How much more or less it may be: page tables, and 2 MiB pages of which only a part is the
/// guest's.
const SLACK: u64 = 6 << 10;

fn what_a_guest_releases_the_host_has_again(mode: Mode) {
    let mut watched = Watched::start(mode);
    let untouched = watched.step("untouched");
    let touched = watched.step("touched");
    assert!(
        touched >= untouched + SIZE - SLACK,
        "{untouched} -> {touched}"
    );
    let released = watched.step("released");
    assert!(released <= untouched + SLACK, "{touched} -> {released}");
    // To read takes no memory: the host shows its page of zeros.
    let read = watched.step("read");
    assert!(read <= untouched + SLACK, "{released} -> {read}");
    let populated = watched.step("populated");
    assert!(populated >= read + SIZE - SLACK, "{read} -> {populated}");
    watched.end();
}

/// A guest that does something and says so, and waits for a byte before it goes on.
struct Watched {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Watched {
    fn start(mode: Mode) -> Self {
        let command_line = format!("balloon={}", SIZE >> 10);
        let mut child = guest_command(&command_line, &mode.options())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("paravane starts");
        Self {
            stdin: child.stdin.take().expect("stdin is a pipe"),
            stdout: BufReader::new(child.stdout.take().expect("stdout is a pipe")),
            child,
        }
    }

    /// The program's resident memory in KiB, when the guest has said that it has come so far.
    fn step(&mut self, name: &str) -> u64 {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout is open");
        assert_eq!(line.trim_end(), name);
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = fs::read_to_string(path).expect("the program runs");
        let field = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let number = field.and_then(|field| field.split_whitespace().next());
        let rss = number
            .and_then(|number| number.parse().ok())
            .expect("a number of KiB");
        self.stdin.write_all(b"\n").expect("the guest reads");
        rss
    }

    fn end(mut self) {
        let status = self.child.wait().expect("the program ends");
        assert_eq!(status.code(), Some(0));
    }
}
