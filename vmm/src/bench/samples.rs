//! The samples of a row and way, from all VMs in which it was measured.

use super::chunk::Chunk;
use super::result::{Answer, Exits, Measurement, Spread, Unit};
use hdrhistogram::Histogram;

/// Quantile of the normal distribution for a confidence of 99 per cent.
const Z: f64 = 2.576;

/// What the histogram's values are: thousandths of a unit.
const THOUSANDTHS: f64 = 1000.0;

/// All that was measured so far.
#[derive(Debug, Default)]
pub struct Samples {
    /// Costs of one operation, in the unit, of each VM.
    boots: Vec<Vec<f64>>,
    /// Medians of the empty measurement, in the unit.
    subtracted: Vec<f64>,
    kvm: Vec<f64>,
    vmm: Vec<f64>,
    answer: Option<Answer>,
}

/// How many units a tick of the TSC is.
pub fn unit_per_tick(unit: Unit, tsc_hz: u64) -> f64 {
    match unit {
        Unit::Nanoseconds => 1e9 / tsc_hz as f64,
        Unit::Instructions => 1.0,
    }
}

impl Samples {
    /// Adds what was measured in a VM.
    pub fn add(&mut self, chunk: &Chunk, unit_per_tick: f64) {
        let mut empty: Vec<f64> = chunk.empty.iter().map(|&ticks| ticks as f64).collect();
        empty.sort_by(f64::total_cmp);
        let subtracted = quantile(&empty, 0.5);
        let per = unit_per_tick / chunk.per as f64;
        let cost = |&ticks: &u64| (ticks as f64 - subtracted) * per;
        self.boots.push(chunk.ticks.iter().map(cost).collect());
        self.subtracted.push(subtracted * per);
        self.kvm.extend(chunk.kvm);
        self.vmm.push(chunk.vmm);
        self.answer = Some(chunk.answer);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.boots.iter().map(Vec::len).sum()
    }

    /// In how many VMs.
    pub fn boots(&self) -> usize {
        self.boots.len()
    }

    fn sorted(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.boots.iter().flatten().copied().collect();
        all.sort_by(f64::total_cmp);
        all
    }

    /// Half the width of the confidence interval of the median, as a part of the median.
    pub fn uncertainty(&self) -> f64 {
        let sorted = self.sorted();
        let (low, high) = confidence(&sorted);
        relative((high - low) / 2.0, quantile(&sorted, 0.5))
    }

    /// The measurement; `expected` are the exits to KVM that there should be.
    pub fn measurement(&self, expected: Option<f64>) -> Measurement {
        let sorted = self.sorted();
        let mut medians = Vec::new();
        for boot in &self.boots {
            let mut boot = boot.clone();
            boot.sort_by(f64::total_cmp);
            medians.push(quantile(&boot, 0.5));
        }
        let mut measurement = Measurement {
            spread: spread(&sorted),
            confidence: confidence(&sorted),
            boots: medians,
            subtracted: median(&self.subtracted),
            exits: Exits {
                kvm: (!self.kvm.is_empty()).then(|| median(&self.kvm)),
                vmm: median(&self.vmm),
                expected,
            },
            answer: self.answer.unwrap_or(Answer::Unchecked),
            marks: Vec::new(),
            histogram: histogram(&sorted),
        };
        measurement.marks = marks(&measurement);
        measurement
    }
}

/// Why a figure is to be taken with care.
fn marks(measurement: &Measurement) -> Vec<String> {
    let mut marks = Vec::new();
    let Exits { kvm, expected, .. } = measurement.exits;
    if let (Some(kvm), Some(expected)) = (kvm, expected) {
        // Interrupts of the host's are exits too.
        if kvm < expected - 0.05 || kvm > expected + 0.1 + expected / 10.0 {
            marks.push(format!("{kvm:.2} exits, expected {expected}"));
        }
    }
    let median = measurement.spread.p50;
    let (low, high) = measurement.confidence;
    let uncertainty = relative((high - low) / 2.0, median);
    if uncertainty > UNCERTAIN {
        marks.push("noisy: the median is not known well".into());
    }
    let least = measurement
        .boots
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min);
    let most = measurement.boots.iter().copied().fold(0.0, f64::max);
    let apart = relative(most - least, median);
    if apart > APART {
        marks.push("noisy: the medians of single VMs lie apart".into());
    }
    marks
}

/// A median that is known no better than this is noisy.
const UNCERTAIN: f64 = 0.05;
/// Medians of single VMs that lie further apart are noisy.
const APART: f64 = 0.25;

/// A part of a cost; costs below one unit are the clock's own grain.
fn relative(part: f64, whole: f64) -> f64 {
    part / whole.max(1.0)
}

/// The value below which a fraction of the sorted samples lies; 0 without samples.
pub fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * fraction).round() as usize;
    sorted.get(index).copied().unwrap_or(0.0)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The distribution of sorted samples.
pub fn spread(sorted: &[f64]) -> Spread {
    Spread {
        n: sorted.len() as u64,
        min: quantile(sorted, 0.0),
        p50: quantile(sorted, 0.5),
        p90: quantile(sorted, 0.9),
        p99: quantile(sorted, 0.99),
        p999: quantile(sorted, 0.999),
        max: quantile(sorted, 1.0),
    }
}

/// Confidence interval of the median of sorted samples, by order statistics: no distribution is
/// assumed (Conover, Practical Nonparametric Statistics, 3.2).
fn confidence(sorted: &[f64]) -> (f64, f64) {
    let n = sorted.len() as f64;
    let half = Z * n.sqrt() / 2.0;
    let at = |rank: f64| {
        let index = rank.clamp(0.0, (n - 1.0).max(0.0)) as usize;
        sorted.get(index).copied().unwrap_or(0.0)
    };
    (at((n / 2.0 - half).floor()), at((n / 2.0 + half).ceil()))
}

/// Every sample, to three digits.
fn histogram(sorted: &[f64]) -> Vec<(f64, u64)> {
    let Ok(mut histogram) = Histogram::<u64>::new(3) else {
        return Vec::new();
    };
    for &sample in sorted {
        // What cost less than nothing cost nothing.
        let value = (sample * THOUSANDTHS).round().max(0.0) as u64;
        // It grows as values need it; values beyond years are none.
        let _ = histogram.record(value);
    }
    histogram
        .iter_recorded()
        .map(|point| {
            (
                point.value_iterated_to() as f64 / THOUSANDTHS,
                point.count_at_value(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(ticks: Vec<u64>) -> Chunk {
        Chunk {
            ticks,
            empty: vec![10, 10, 12],
            per: 1,
            kvm: Some(1.0),
            vmm: 1.0,
            answer: Answer::Unchecked,
        }
    }

    #[test]
    fn the_empty_measurement_is_subtracted_and_ticks_become_time() {
        let mut samples = Samples::default();
        samples.add(&chunk((1..=1001).map(|tick| tick + 10).collect()), 0.5);
        let measurement = samples.measurement(Some(1.0));
        assert_eq!(measurement.spread.p50, 250.5);
        assert_eq!(
            (measurement.spread.min, measurement.spread.max),
            (0.5, 500.5)
        );
        assert_eq!(measurement.subtracted, 5.0);
        let (low, high) = measurement.confidence;
        assert!(low < 250.5 && 250.5 < high, "{low} {high}");
        assert_eq!(
            measurement
                .histogram
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>(),
            1001
        );
    }

    #[test]
    fn the_histogram_has_values_of_every_size() {
        let costs = [0.5, 70.0, 68_000.0, 12_000_000.0];
        let histogram = histogram(&costs);
        assert_eq!(histogram.len(), costs.len());
        for (cost, (value, count)) in costs.into_iter().zip(histogram) {
            assert!((value / cost - 1.0).abs() < 0.001, "{value} for {cost}");
            assert_eq!(count, 1);
        }
    }

    #[test]
    fn operations_of_one_sample_share_its_time() {
        let mut samples = Samples::default();
        let chunk = Chunk {
            per: 100,
            ..chunk(vec![1010; 50])
        };
        samples.add(&chunk, 1.0);
        assert_eq!(samples.measurement(None).spread.p50, 10.0);
    }

    #[test]
    fn the_interval_narrows_as_samples_come() {
        let mut samples = Samples::default();
        let ticks = |count: u64| (0..count).map(|tick| 1000 + tick * 7919 % 1000).collect();
        samples.add(&chunk(ticks(100)), 1.0);
        let first = samples.uncertainty();
        samples.add(&chunk(ticks(10_000)), 1.0);
        assert!(samples.uncertainty() < first / 5.0);
    }

    #[test]
    fn exits_that_are_not_as_expected_are_marked() {
        let mut samples = Samples::default();
        samples.add(&chunk(vec![1010; 50]), 1.0);
        assert!(samples.measurement(Some(1.0)).marks.is_empty());
        assert_eq!(
            samples.measurement(Some(0.0)).marks,
            ["1.00 exits, expected 0"]
        );
        assert!(samples.measurement(None).marks.is_empty());
    }

    #[test]
    fn vms_that_differ_are_marked() {
        let mut samples = Samples::default();
        samples.add(&chunk(vec![1010; 50]), 1.0);
        samples.add(&chunk(vec![2010; 50]), 1.0);
        let marks = samples.measurement(None).marks;
        assert!(marks.iter().any(|mark| mark.contains("apart")), "{marks:?}");
    }
}
