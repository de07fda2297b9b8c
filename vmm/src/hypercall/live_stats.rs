//! The counters of a running vCPU: its thread counts, and any other reads meanwhile.
//!
//! Each counter has one writer, so a load and a store do, without the lock prefix that would make
//! each hypercall pay for a reader that is seldom there. Whoever reads finds every counter as it
//! was at some moment, not all of them as of the same one.

use super::stats::{BUCKETS, CallStats, Histogram};
use crate::vcpu::exit::{ExitCounts, ExitReason};
use pv_abi::CALLS;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::FromZeros;

/// A counter of one thread, which any may read.
#[derive(Debug, Default, FromZeros)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it, on the one thread that does.
    #[inline]
    pub fn add(&self, count: u64) {
        self.set(self.get().wrapping_add(count));
    }

    /// Raises it to a value, on the one thread that does.
    #[inline]
    pub fn raise(&self, value: u64) {
        self.set(self.get().max(value));
    }

    #[inline]
    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A [`Histogram`] of one thread, which any may read.
#[derive(Debug, FromZeros)]
struct LiveHistogram {
    buckets: [Counter; BUCKETS],
    count: Counter,
    max: Counter,
}

impl LiveHistogram {
    #[inline]
    fn record(&self, value: u64) {
        self.buckets[Histogram::bucket(value)].add(1);
        self.count.add(1);
        self.max.raise(value);
    }

    fn read(&self) -> Histogram {
        let mut read = Histogram::default();
        for (bucket, counter) in read.buckets.iter_mut().zip(&self.buckets) {
            *bucket = counter.get();
        }
        // Of the buckets, so that a quantile lies in one of them.
        read.count = read.buckets.iter().sum();
        read.max = self.max.get();
        read
    }
}

/// The counters of a vCPU.
#[derive(Debug)]
pub struct LiveStats {
    /// Hypercalls that failed.
    pub failed: Counter,
    /// Calls carried out as elements of a batch.
    pub batched: Counter,
    /// Call words that name no call, or have reserved bits set.
    pub unknown: Counter,
    other_exits: [Counter; ExitReason::ALL.len()],
    // Allocated once for all calls, so that counting never allocates.
    latencies: Box<[LiveHistogram]>,
}

impl Default for LiveStats {
    fn default() -> Self {
        Self {
            failed: Counter::default(),
            batched: Counter::default(),
            unknown: Counter::default(),
            other_exits: Default::default(),
            latencies: zeroed_histograms(),
        }
    }
}

/// A histogram for each call. Memory is taken for those that are used.
fn zeroed_histograms() -> Box<[LiveHistogram]> {
    <[LiveHistogram]>::new_box_zeroed_with_elems(CALLS.len()).unwrap_or_else(|_| {
        (0..CALLS.len())
            .map(|_| LiveHistogram::new_zeroed())
            .collect()
    })
}

impl LiveStats {
    /// Counts a call by its position in [`CALLS`].
    #[inline]
    pub fn record(&self, index: u16, cycles: u64) {
        if let Some(histogram) = self.latencies.get(usize::from(index)) {
            histogram.record(cycles);
        }
    }

    /// Counts a call word that leads to no handler.
    #[cold]
    pub fn record_unknown(&self) {
        self.failed.add(1);
        self.unknown.add(1);
    }

    /// Counts an exit that is no hypercall.
    pub fn record_exit(&self, reason: ExitReason) {
        if let Some(counter) = self.other_exits.get(reason as usize) {
            counter.add(1);
        }
    }

    /// How many hypercalls were made, counting a batch as one.
    pub fn hypercalls(&self) -> u64 {
        let counts = self.latencies.iter().map(|histogram| histogram.count.get());
        counts.sum::<u64>() + self.unknown.get()
    }

    /// How many exits to the VMM there were.
    pub fn exits(&self) -> u64 {
        self.hypercalls() + self.other_exits.iter().map(Counter::get).sum::<u64>()
    }

    /// What was counted until now.
    pub fn read(&self) -> CallStats {
        let mut other_exits = ExitCounts::default();
        for (&reason, counter) in ExitReason::ALL.iter().zip(&self.other_exits) {
            other_exits.add_many(reason, counter.get());
        }
        let mut read = CallStats {
            other_exits,
            failed: self.failed.get(),
            batched: self.batched.get(),
            unknown: self.unknown.get(),
            ..CallStats::default()
        };
        for (read, live) in read.latencies.iter_mut().zip(&self.latencies) {
            // Those that are not used take no memory.
            if live.count.get() > 0 {
                *read = live.read();
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn what_is_read_is_what_was_counted() {
        let live = LiveStats::default();
        for cycles in [3, 1000, 50] {
            live.record(1, cycles);
        }
        live.failed.add(1);
        live.record_unknown();
        live.record_exit(ExitReason::Signal);
        let read = live.read();
        assert_eq!((read.failed, read.unknown, read.batched), (2, 1, 0));
        assert_eq!((read.hypercalls(), read.exits()), (4, 5));
        assert_eq!((live.hypercalls(), live.exits()), (4, 5));
        let summary = read.summary(1_000_000_000);
        let calls: Vec<_> = summary.iter().map(|one| (one.count, one.max_ns)).collect();
        assert_eq!(calls, [(3, 1000)]);
    }

    #[test]
    fn reading_meanwhile_loses_nothing_and_never_goes_back() {
        const CALLS: u64 = 100_000;
        let live = &LiveStats::default();
        let done = &AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for cycles in 0..CALLS {
                    live.record(0, cycles);
                }
                done.store(true, Ordering::SeqCst);
            });
            let mut before = 0;
            while !done.load(Ordering::SeqCst) {
                let now = live.read().hypercalls();
                assert!(before <= now && now <= CALLS);
                before = now;
            }
        });
        assert_eq!(live.read().hypercalls(), CALLS);
    }
}
