//! What it saves to need no exit at all.

use super::{exits, less, list, measured};
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Measurement, Results, Unit, Way};

/// How many rows are named.
const NAMED: usize = 3;
/// What a sentence can say about a cost, in nanoseconds or instructions: a ratio to less would be
/// one to what is left of the empty measurement.
const LEAST: f64 = 1.0;

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
            let trapped = trap.answer != Answer::Wrong && exits(trap) == Some(true);
            let comparable = trapped && less(exitless, trap);
            comparable.then_some((row, exitless, trap))
        })
        .collect();
    pairs.sort_by(|(_, a, _), (_, b, _)| told(a).total_cmp(&told(b)));
    let named: Vec<_> = pairs
        .iter()
        .take(NAMED)
        .map(|(row, exitless, trap)| {
            let (cost, over) = match median(exitless) < LEAST {
                true => (format!("under {}", least(results.unit)), "over "),
                false => (spoken(median(exitless)), ""),
            };
            format!(
                "{} {cost} instead of {} ({over}{} times less)",
                row.title,
                spoken(median(trap)),
                number::ratio(median(trap) / told(exitless)),
            )
        })
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

fn least(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "1 ns",
        Unit::Instructions => "1 instruction",
    }
}

/// A cost as far as it can be told.
fn told(measurement: &Measurement) -> f64 {
    median(measurement).max(LEAST)
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
    fn no_ratio_is_made_to_what_is_too_little_to_tell() {
        let mut results = fixture::results();
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if matches!(cell.way, Way::Exitless { .. }) {
                *cell = fixture::cell(cell.way, 0.1);
            }
        }
        assert_eq!(
            instead_of_traps(&results).unwrap(),
            "Shared pages need no exit where the instruction traps: RDTSC under 1 ns instead of 36.0 \
             us (over 36,000 times less)."
        );
    }

    #[test]
    fn an_instruction_that_does_not_trap_is_not_compared() {
        let mut results = fixture::results();
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if cell.way == Way::Trap {
                *cell = fixture::changed(Way::Trap, 36_000.0, |trap| {
                    trap.exits.vmm = 0.0;
                    trap.exits.kvm = Some(0.01);
                });
            }
        }
        assert_eq!(instead_of_traps(&results), None);
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
