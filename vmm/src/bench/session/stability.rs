//! Whether a run was steady enough for its figures to be quoted.

use crate::bench::chunk::Chunk;
use crate::bench::result::{Empty, Outcome, RowResult, Stability};
use crate::bench::samples::spread;
use std::collections::BTreeMap;

/// A place is marked whose empty measurement has a 99th percentile this many times its median.
const STRAY: f64 = 2.0;
/// A run is noisy in which more than this part of the figures is.
const NOISY: f64 = 0.1;

/// The empty measurements, by place, in the unit.
#[derive(Debug, Default)]
pub struct Empties(BTreeMap<String, Vec<f64>>);

impl Empties {
    /// Adds those of a VM.
    pub fn add(&mut self, place: String, chunk: &Chunk, unit_per_tick: f64) {
        // Many operations in one sample have a loop around them, which is not nothing.
        if chunk.per == 1 {
            let costs = chunk
                .empty
                .iter()
                .map(|&ticks| ticks as f64 * unit_per_tick);
            self.0.entry(place).or_default().extend(costs);
        }
    }
}

/// Judges a run.
pub fn judge(empties: &Empties, rows: &[RowResult]) -> Stability {
    let mut reasons = Vec::new();
    let mut places = Vec::new();
    for (place, costs) in &empties.0 {
        let mut sorted = costs.clone();
        sorted.sort_by(f64::total_cmp);
        let spread = spread(&sorted);
        let marked = spread.p99 > STRAY * spread.p50;
        if marked {
            reasons.push(format!(
                "measuring nothing at {place} has a 99th percentile {:.1} times its median; at \
                 most {STRAY} is steady",
                spread.p99 / spread.p50.max(f64::MIN_POSITIVE)
            ));
        }
        places.push(Empty {
            place: place.clone(),
            spread,
            marked,
        });
    }
    let mut measured = 0;
    let mut noisy = 0;
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if let Outcome::Measured(measurement) = &cell.outcome {
            measured += 1;
            let is_noisy = |mark: &String| mark.starts_with("noisy");
            noisy += usize::from(measurement.marks.iter().any(is_noisy));
        }
    }
    if noisy as f64 > NOISY * measured as f64 {
        reasons.push(format!(
            "{noisy} of {measured} figures are noisy; end what else runs on this machine, or \
             measure longer"
        ));
    }
    Stability {
        noisy: !reasons.is_empty(),
        reasons,
        empty: places,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::result::Answer;

    fn empties(ticks: Vec<u64>) -> Empties {
        let mut empties = Empties::default();
        let chunk = Chunk {
            ticks: Vec::new(),
            empty: ticks,
            per: 1,
            kvm: None,
            vmm: 0.0,
            answer: Answer::Unchecked,
        };
        empties.add("CPL 0".into(), &chunk, 1.0);
        empties
    }

    #[test]
    fn stray_empty_measurements_are_told() {
        let mut ticks = vec![100; 98];
        ticks.extend([150; 2]);
        assert!(!judge(&empties(ticks.clone()), &[]).noisy);
        ticks.extend([900; 2]);
        let stability = judge(&empties(ticks), &[]);
        assert!(stability.noisy && stability.empty[0].marked);
        assert_eq!(
            stability.reasons,
            [
                "measuring nothing at CPL 0 has a 99th percentile 9.0 times its median; at most 2 is steady"
            ]
        );
    }
}
