//! What it saves to need no exit at all.

use super::{less, list, measured, times};
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Measurement, Results, Way};

/// How many rows are named.
const NAMED: usize = 3;

/// The cheapest forms without an exit, beside the trapped instructions that they replace.
pub fn instead_of_traps(results: &Results) -> Option<String> {
    let spoken = |value| number::spoken(value, results.unit);
    let mut pairs: Vec<_> = results
        .rows
        .iter()
        .filter_map(|row| {
            let trap = ways::measurement(row, Way::Trap)?;
            let exitless = measured(row)
                .filter(|(way, _)| matches!(way, Way::Exitless { .. }))
                .map(|(_, measurement)| measurement)
                .min_by(|a, b| median(a).total_cmp(&median(b)))?;
            let comparable = trap.answer != Answer::Wrong && less(exitless, trap);
            comparable.then_some((row, exitless, trap))
        })
        .collect();
    pairs.sort_by(|(_, a, _), (_, b, _)| median(a).total_cmp(&median(b)));
    let named: Vec<_> = pairs
        .into_iter()
        .filter_map(|(row, exitless, trap)| {
            Some(format!(
                "{} {} instead of {} ({} times less)",
                row.title,
                spoken(median(exitless)),
                spoken(median(trap)),
                times(trap, exitless)?,
            ))
        })
        .take(NAMED)
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "Shared pages need no exit where the instruction traps: {}.",
            list(&named, NAMED)
        )
    })
}

fn median(measurement: &Measurement) -> f64 {
    measurement.spread.p50
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn the_cheapest_form_is_compared_with_the_trap() {
        assert_eq!(
            instead_of_traps(&fixture::results()).unwrap(),
            "Shared pages need no exit where the instruction traps: RDTSC 20.0 ns instead of 36.0 us \
             (1,800 times less)."
        );
    }

    #[test]
    fn a_wrong_answer_is_no_price_to_beat() {
        let mut results = fixture::results();
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if cell.way == Way::Trap {
                *cell = fixture::changed(Way::Trap, 36_000.0, |trap| trap.answer = Answer::Wrong);
            }
        }
        assert_eq!(instead_of_traps(&results), None);
    }
}
