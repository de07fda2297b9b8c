//! A guest that has nothing to do costs nothing.

use super::Once;
use crate::program::{Running, guest_command};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

pub(super) const ONCE: &[Once] = &[(
    "an_idle_guest_of_four_vcpus_uses_no_processor",
    an_idle_guest_of_four_vcpus_uses_no_processor,
)];

/// For how long its processor time is watched.
const WATCHED: Duration = Duration::from_secs(2);

fn an_idle_guest_of_four_vcpus_uses_no_processor() {
    let mut guest = Running::start(&mut guest_command("idle", &["--vcpus", "4"]));
    assert_eq!(guest.line(), "idle\n");

    let begun = Instant::now();
    let before = processor_time(guest.id());
    thread::sleep(WATCHED);
    let used = processor_time(guest.id()) - before;
    let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(share < 0.01, "{used:?}: {:.2} % of a core", share * 100.0);

    drop(guest.stdin.take());
    assert_eq!(guest.end().0, Some(0));
}

/// What all threads of a process have used, by `/proc/PID/task/TID/schedstat`.
fn processor_time(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the program runs");
    let nanoseconds = tasks.map(|task| {
        let path = task.expect("a task").path().join("schedstat");
        let text = fs::read_to_string(path).expect("it runs");
        let first = text.split_whitespace().next().expect("three numbers");
        first.parse::<u64>().expect("nanoseconds")
    });
    Duration::from_nanos(nanoseconds.sum())
}
