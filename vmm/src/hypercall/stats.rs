//! Counters and latencies of calls: cheap enough to be always on.
#![allow(unsafe_code)]

use crate::vcpu::exit::ExitCounts;
use pv_abi::CALLS;
use serde::Serialize;
use zerocopy::FromZeros;

/// The TSC.
#[inline]
pub fn timestamp() -> u64 {
    // SAFETY: RDTSC has no precondition on x86-64.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The TSC, read after everything that comes before in the program, so that it goes on from what
/// another processor has read before (Intel SDM vol. 2, RDTSC).
#[inline]
pub fn ordered_timestamp() -> u64 {
    // SAFETY: neither instruction has a precondition on x86-64.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        core::arch::x86_64::_rdtsc()
    }
}

/// Buckets for each power of two: the relative error of a quantile is at most 1/8.
const SUB_BUCKETS: u64 = 8;
/// Powers of two: what takes longer than 2^42 cycles, half an hour, goes into the last bucket.
const POWERS: u64 = 42;
pub(super) const BUCKETS: usize = (POWERS * SUB_BUCKETS) as usize;

/// A log-linear histogram of TSC cycles, of fixed size.
#[derive(Clone, Debug, FromZeros)]
pub struct Histogram {
    pub(super) buckets: [u64; BUCKETS],
    pub(super) count: u64,
    pub(super) max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            count: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// The bucket of a value: the exponent and the first bits of the mantissa that it has as
    /// a floating-point number, which takes fewer instructions than any shifting.
    #[inline]
    pub(super) fn bucket(value: u64) -> usize {
        const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS - 1 - SUB_BUCKETS.trailing_zeros();
        const ONE: u64 = 1f64.to_bits() >> MANTISSA_BITS;
        let bits = (value.max(1) as i64 as f64).to_bits();
        ((bits >> MANTISSA_BITS) - ONE).min(BUCKETS as u64 - 1) as usize
    }

    /// The largest value of a bucket.
    fn upper_bound(bucket: usize) -> u64 {
        let (power, sub) = (bucket as u64 / SUB_BUCKETS, bucket as u64 % SUB_BUCKETS);
        ((SUB_BUCKETS + sub + 1) << power).div_ceil(SUB_BUCKETS) - 1
    }

    /// Counts a value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.buckets[Self::bucket(value)] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds the values of another histogram.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own += other;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The largest value.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The buckets in which there are values: the smallest and the largest that each can have, and how
    /// many there are.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let mut smallest = 0;
        let buckets = self.buckets.iter().enumerate();
        let buckets = buckets.map(move |(bucket, &count)| {
            let largest = Self::upper_bound(bucket);
            let range = (smallest, largest, count);
            smallest = largest + 1;
            range
        });
        buckets.filter(|&(_, _, count)| count > 0)
    }

    /// An upper bound of the value below which `fraction` of all values lie; 0 when empty.
    pub fn quantile(&self, fraction: f64) -> u64 {
        let rank = (self.count as f64 * fraction).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::upper_bound(bucket).min(self.max);
            }
        }
        self.max
    }
}

/// What was counted of one vCPU or several, until some moment.
#[derive(Clone, Debug)]
pub struct CallStats {
    /// Exits for other reasons than a hypercall.
    pub other_exits: ExitCounts,
    /// Hypercalls that failed.
    pub failed: u64,
    /// Calls carried out as elements of a batch.
    pub batched: u64,
    /// Call words that name no call, or have reserved bits set.
    pub unknown: u64,
    pub(super) latencies: Box<[Histogram]>,
}

impl Default for CallStats {
    fn default() -> Self {
        Self {
            other_exits: ExitCounts::default(),
            failed: 0,
            batched: 0,
            unknown: 0,
            latencies: zeroed_histograms(),
        }
    }
}

/// A histogram for each call. Memory is taken for those that are used.
fn zeroed_histograms() -> Box<[Histogram]> {
    <[Histogram]>::new_box_zeroed_with_elems(CALLS.len())
        .unwrap_or_else(|_| vec![Histogram::default(); CALLS.len()].into_boxed_slice())
}

impl CallStats {
    /// Adds the counters of another vCPU.
    pub fn add(&mut self, other: &Self) {
        self.other_exits.add(&other.other_exits);
        self.failed += other.failed;
        self.batched += other.batched;
        self.unknown += other.unknown;
        for (own, other) in self.latencies.iter_mut().zip(&other.latencies) {
            if other.count() > 0 {
                own.add(other);
            }
        }
    }

    /// How many hypercalls were made, counting a batch as one.
    pub fn hypercalls(&self) -> u64 {
        self.latencies.iter().map(Histogram::count).sum::<u64>() + self.unknown
    }

    /// How many exits to the VMM there were.
    pub fn exits(&self) -> u64 {
        self.hypercalls() + self.other_exits.total()
    }

    /// How often the guest was left for each reason, for those that occurred.
    pub fn exits_by_reason(&self) -> Vec<(&'static str, u64)> {
        let hypercalls = ("hypercall", self.hypercalls());
        let calls = std::iter::once(hypercalls).filter(|&(_, count)| count > 0);
        calls.chain(self.other_exits.nonzero()).collect()
    }

    /// The calls that were made, each with the cycles of the TSC that the VMM spent on it.
    pub fn latencies(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        let calls = CALLS.iter().zip(&self.latencies);
        calls
            .filter(|(_, histogram)| histogram.count() > 0)
            .map(|(call, histogram)| (call.name, histogram))
    }

    /// The calls that were made, with the time that the VMM spent on each.
    pub fn summary(&self, tsc_frequency: u64) -> Vec<CallSummary> {
        let nanoseconds = |cycles: u64| nanoseconds(cycles, tsc_frequency);
        self.latencies()
            .map(|(name, histogram)| CallSummary {
                name,
                count: histogram.count(),
                p50_ns: nanoseconds(histogram.quantile(0.5)),
                p99_ns: nanoseconds(histogram.quantile(0.99)),
                max_ns: nanoseconds(histogram.max()),
            })
            .collect()
    }
}

/// Cycles of a TSC of this frequency in Hz, in nanoseconds.
pub fn nanoseconds(cycles: u64, tsc_frequency: u64) -> u64 {
    u64::try_from(u128::from(cycles) * 1_000_000_000 / u128::from(tsc_frequency.max(1)))
        .unwrap_or(u64::MAX)
}

/// How often a call was made and how long the VMM took for it (the exit not included).
#[derive(Clone, Debug, Serialize)]
pub struct CallSummary {
    /// Name of the call.
    pub name: &'static str,
    /// How often it was made.
    pub count: u64,
    /// Median of its latency in nanoseconds, at most an eighth too high.
    pub p50_ns: u64,
    /// 99th percentile, likewise.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(value in 1u64..1 << POWERS) {
            let bucket = Histogram::bucket(value);
            prop_assert!(value <= Histogram::upper_bound(bucket));
            prop_assert!(bucket == 0 || value > Histogram::upper_bound(bucket - 1));
        }

        #[test]
        fn a_quantile_is_at_most_an_eighth_too_high(values in prop::collection::vec(1u64..1 << 36, 1..200)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|&value| histogram.record(value));
            let mut sorted = values;
            sorted.sort_unstable();
            let exact = sorted[(sorted.len() - 1) / 2];
            let estimate = histogram.quantile(0.5);
            prop_assert!(estimate >= exact && estimate <= exact + exact / 8 + 1);
        }

        #[test]
        fn each_value_is_in_the_range_of_its_bucket(values in prop::collection::vec(1u64..1 << POWERS, 1..50)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|&value| histogram.record(value));
            for (smallest, largest, count) in histogram.buckets() {
                let inside = values.iter().filter(|&value| (smallest..=largest).contains(value));
                prop_assert_eq!(inside.count() as u64, count);
            }
            let total: u64 = histogram.buckets().map(|(_, _, count)| count).sum();
            prop_assert_eq!(total, values.len() as u64);
        }

        #[test]
        fn any_value_can_be_recorded(value: u64) {
            let mut histogram = Histogram::default();
            histogram.record(value);
            prop_assert_eq!(histogram.max(), value);
        }
    }
}
