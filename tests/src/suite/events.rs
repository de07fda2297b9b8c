//! What the VMM tells a guest of: input, and that somebody wants it to shut down.

use super::Once;
use super::console::terminate;
use crate::program::{Running, exit_code, guest, guest_command};
use std::process::{Command, Stdio};
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

/// Starts the bundled kernel's service, which has begun to serve when this returns.
fn start(command: &mut Command) -> Running {
    let mut service = Running::start(command.stderr(Stdio::null()));
    assert_eq!(service.line(), "serving\n");
    service
}

fn input_comes_as_an_event() {
    let mut service = start(&mut guest_command("service", &[]));
    for line in 0..100 {
        let line = format!("line {line}\n");
        service.write(line.as_bytes());
        assert_eq!(service.line(), line);
    }
    terminate(service.id());
    assert_eq!(service.end(), (Some(0), "shutting down\n".to_string()));
}

fn the_end_of_the_input_is_an_event_too() {
    // It costs no processor time, and is not the end of the guest.
    guest("service", &["--timeout", "500ms"])
        .exits(exit_code::TIMED_OUT)
        .prints("serving");
}

fn a_guest_that_wants_to_be_asked_shuts_down() {
    let service = start(&mut guest_command("service", &["--grace", "100"]));
    terminate(service.id());
    assert_eq!(service.end(), (Some(0), "shutting down\n".to_string()));
}

fn a_guest_that_does_not_shut_down_in_time_is_stopped() {
    let options = ["--grace", "400ms"];
    let service = start(&mut guest_command("service=stubborn", &options));
    let begun = Instant::now();
    terminate(service.id());
    let (code, rest) = service.end();
    assert_eq!(code, Some(exit_code::TERMINATED));
    assert_eq!(rest, "not now\n");
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

fn who_asks_twice_does_not_want_to_wait() {
    let options = ["--grace", "3000"];
    let mut service = start(&mut guest_command("service=stubborn", &options));
    terminate(service.id());
    assert_eq!(service.line(), "not now\n");
    terminate(service.id());
    let (code, _) = service.end();
    assert_eq!(code, Some(exit_code::TERMINATED));
}

fn a_guest_that_cannot_be_asked_is_stopped_at_once() {
    let mut looping =
        Running::start(guest_command("loop", &["--grace", "3000"]).stderr(Stdio::null()));
    assert_eq!(looping.line(), "looping\n");
    terminate(looping.id());
    assert_eq!(looping.end().0, Some(exit_code::TERMINATED));
}
