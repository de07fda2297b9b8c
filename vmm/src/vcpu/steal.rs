//! Steal time: how long a vCPU's thread could have run, and the host ran something else.

use super::shared::VcpuShared;
use crate::monitor::state::Monitor;
use pv_abi::vcpu_page::VcpuPage;
use rustix::thread::Pid;
use std::cell::{Cell, OnceCell};
use std::fs::{self, File};
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How often the kernel is asked at most.
const INTERVAL: Duration = Duration::from_millis(1);

thread_local! {
    static SCHEDSTAT: OnceCell<Option<File>> = const { OnceCell::new() };
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// How a thread has spent its time, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadTime {
    /// On a processor.
    pub ran: u64,
    /// On a run queue.
    pub waited: u64,
}

/// How long a thread of this process has run and waited; `None` where the kernel does not count.
pub fn of_thread(thread: Pid) -> Option<ThreadTime> {
    let path = format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero());
    parse(fs::read(path).ok()?.as_slice())
}

/// The first two numbers of schedstat (Linux, Documentation/scheduler/sched-stats.rst).
fn parse(text: &[u8]) -> Option<ThreadTime> {
    let mut numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    Some(ThreadTime {
        ran: next()?,
        waited: next()?,
    })
}

/// Brings the steal time in the vCPU page up to date, for the vCPU that the current thread runs.
pub fn update(monitor: &Monitor, shared: &VcpuShared) {
    let now = Instant::now();
    if ASKED
        .get()
        .is_some_and(|asked| now.duration_since(asked) < INTERVAL)
    {
        return;
    }
    ASKED.set(Some(now));
    if let Some(nanoseconds) = waited() {
        shared.steal.raise(nanoseconds);
        // The page is the VMM's own; a write to it does not fail.
        let _ = monitor.write_page(offset_of!(VcpuPage, steal_time), &nanoseconds);
    }
}

/// How long the current thread has waited on a run queue; `None` where the kernel does not count.
fn waited() -> Option<u64> {
    SCHEDSTAT.with(|file| {
        let file = file
            .get_or_init(|| File::open("/proc/thread-self/schedstat").ok())
            .as_ref()?;
        let mut text = [0; 80];
        let size = file.read_at(&mut text, 0).ok()?;
        Some(parse(text.get(..size)?)?.waited)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_told_of_by_its_number() {
        assert_eq!(
            parse(b"12 34 5\n"),
            Some(ThreadTime {
                ran: 12,
                waited: 34
            })
        );
        assert_eq!(parse(b"12"), None);
        // The kernel counts by ticks.
        while of_thread(rustix::thread::gettid()).is_some_and(|time| time.ran == 0) {}
    }

    #[test]
    fn waiting_for_a_processor_is_counted() {
        // More threads than processors, all busy: each has to wait.
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        let waits: Vec<_> = (0..2 * processors)
            .map(|_| {
                std::thread::spawn(|| {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_millis(50) {}
                    waited()
                })
            })
            .collect();
        let waits: Vec<_> = waits.into_iter().map(|wait| wait.join().unwrap()).collect();
        if waits.iter().all(Option::is_some) {
            assert!(waits.iter().flatten().any(|&wait| wait > 0), "{waits:?}");
        }
    }
}
