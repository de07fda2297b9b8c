//! What the VMM tells a guest of: input, and that somebody wants it to shut down.

use super::Once;
use super::console::terminate;
use crate::program::{exit_code, guest, guest_command};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

pub(super) const ONCE: &[Once] = &[
    ("input_comes_as_an_event", input_comes_as_an_event),
    (
        "the_end_of_the_input_is_an_event_too",
        the_end_of_the_input_is_an_event_too,
    ),
    (
        "a_guest_that_wants_to_be_asked_shuts_down",
        a_guest_that_wants_to_be_asked_shuts_down,
    ),
    (
        "a_guest_that_does_not_shut_down_in_time_is_stopped",
        a_guest_that_does_not_shut_down_in_time_is_stopped,
    ),
    (
        "who_asks_twice_does_not_want_to_wait",
        who_asks_twice_does_not_want_to_wait,
    ),
    (
        "a_guest_that_cannot_be_asked_is_stopped_at_once",
        a_guest_that_cannot_be_asked_is_stopped_at_once,
    ),
];

/// The bundled kernel's service, which has begun to serve.
struct Service {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Service {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("paravane starts");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut service = Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        };
        assert_eq!(service.line(), "serving\n");
        service
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it is text");
        line
    }

    fn terminate(&self) {
        terminate(self.child.id());
    }

    /// Waits for its end: the exit code, and what it printed meanwhile.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("it is text");
        let status = self.child.wait().expect("paravane ends");
        (status.code(), rest)
    }
}

fn input_comes_as_an_event() {
    let mut service = Service::start(&mut guest_command("service", &[]));
    for line in 0..100 {
        let line = format!("line {line}\n");
        service
            .stdin
            .write_all(line.as_bytes())
            .expect("it is read");
        assert_eq!(service.line(), line);
    }
    service.terminate();
    assert_eq!(service.end(), (Some(0), "shutting down\n".to_string()));
}

fn the_end_of_the_input_is_an_event_too() {
    // It costs no processor time, and is not the end of the guest.
    guest("service", &["--timeout", "500ms"])
        .exits(exit_code::TIMED_OUT)
        .prints("serving");
}

fn a_guest_that_wants_to_be_asked_shuts_down() {
    let service = Service::start(&mut guest_command("service", &["--grace", "100"]));
    service.terminate();
    assert_eq!(service.end(), (Some(0), "shutting down\n".to_string()));
}

fn a_guest_that_does_not_shut_down_in_time_is_stopped() {
    let options = ["--grace", "400ms"];
    let service = Service::start(&mut guest_command("service=stubborn", &options));
    let begun = Instant::now();
    service.terminate();
    let (code, rest) = service.end();
    assert_eq!(code, Some(exit_code::TERMINATED));
    assert_eq!(rest, "not now\n");
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

fn who_asks_twice_does_not_want_to_wait() {
    let options = ["--grace", "3000"];
    let mut service = Service::start(&mut guest_command("service=stubborn", &options));
    service.terminate();
    assert_eq!(service.line(), "not now\n");
    service.terminate();
    let (code, _) = service.end();
    assert_eq!(code, Some(exit_code::TERMINATED));
}

fn a_guest_that_cannot_be_asked_is_stopped_at_once() {
    let mut child = guest_command("loop", &["--grace", "3000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("paravane starts");
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it is text");
    assert_eq!(line, "looping\n");
    terminate(child.id());
    let ended = child.wait().expect("paravane ends");
    assert_eq!(ended.code(), Some(exit_code::TERMINATED));
}
