//! What it saves to make many calls in one exit.

use super::{NOOP, less, list, measured, row, times};
use crate::bench::report::column::BATCH;
use crate::bench::report::{number, ways};
use crate::bench::result::{Results, Way};

/// What one of 64 calls costs beside a call alone.
pub fn saves(results: &Results) -> Option<String> {
    let noop = row(results, NOOP)?;
    let spoken = |value| number::spoken(value, results.unit);
    let modes: Vec<_> = measured(noop)
        .filter_map(|(way, each)| {
            let Way::Batch {
                privilege,
                carrier,
                size: BATCH,
            } = way
            else {
                return None;
            };
            let alone = ways::measurement(noop, Way::Hypercall { privilege, carrier })?;
            if !less(each, alone) {
                return None;
            }
            Some(format!(
                "{} instead of {} by {privilege}/{carrier} ({} times less)",
                spoken(each.spread.p50),
                spoken(alone.spread.p50),
                times(alone, each)?,
            ))
        })
        .collect();
    (!modes.is_empty()).then(|| {
        format!(
            "Of {BATCH} calls in one exit, each costs {}.",
            list(&modes, modes.len())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn one_of_64_calls_is_compared_with_a_call_alone() {
        assert_eq!(
            saves(&fixture::results()).unwrap(),
            "Of 64 calls in one exit, each costs 75.9 ns instead of 2.20 us by ring0/vmcall (29.0 \
             times less) and 643 ns instead of 38.5 us by ring3/pio (59.9 times less)."
        );
    }

    #[test]
    fn where_batching_saves_nothing_it_says_nothing() {
        let mut results = fixture::results();
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if matches!(cell.way, Way::Batch { .. }) {
                *cell = fixture::cell(cell.way, 40_000.0);
            }
        }
        assert_eq!(saves(&results), None);
    }
}
