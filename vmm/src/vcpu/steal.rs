//! Steal time: how long a vCPU's thread could have run, and the host ran something else.

use crate::monitor::state::Monitor;
use pv_abi::vcpu_page::VcpuPage;
use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// How often the kernel is asked at most.
const INTERVAL: Duration = Duration::from_millis(1);

thread_local! {
    static SCHEDSTAT: OnceCell<Option<File>> = const { OnceCell::new() };
    static ASKED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Brings the steal time in the vCPU page up to date, for the vCPU that the current thread runs.
pub fn update(monitor: &Monitor) {
    let now = Instant::now();
    if ASKED
        .get()
        .is_some_and(|asked| now.duration_since(asked) < INTERVAL)
    {
        return;
    }
    ASKED.set(Some(now));
    if let Some(nanoseconds) = waited() {
        // The page is the VMM's own; a write to it does not fail.
        let _ = monitor.write_page(offset_of!(VcpuPage, steal_time), &nanoseconds);
    }
}

/// How long the current thread has waited on a run queue: the second number of schedstat
/// (Linux, Documentation/scheduler/sched-stats.rst). `None` where the kernel does not count.
fn waited() -> Option<u64> {
    SCHEDSTAT.with(|file| {
        let file = file
            .get_or_init(|| File::open("/proc/thread-self/schedstat").ok())
            .as_ref()?;
        let mut text = [0; 80];
        let size = file.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..size)?).ok()?;
        text.split_ascii_whitespace().nth(1)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
