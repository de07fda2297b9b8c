//! Where the real instruction is the better choice.

use super::{exits, less, list, measured};
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Measurement, Results, Way};
use crate::carrier::Privilege;

/// How many rows are named.
const NAMED: usize = 4;

/// The instructions that cost no exit, and less than the call that replaces them at the same
/// privilege.
pub fn cheaper_than_the_call(results: &Results) -> Vec<String> {
    let places = [
        (Privilege::Ring0, Way::Native),
        (Privilege::Ring3, Way::Trap),
    ];
    let sentence = |(at, way)| cheaper_at(results, at, way);
    places.into_iter().filter_map(sentence).collect()
}

fn cheaper_at(results: &Results, at: Privilege, way: Way) -> Option<String> {
    let mut rows: Vec<_> = results
        .rows
        .iter()
        .filter_map(|row| {
            let instruction = ways::measurement(row, way)?;
            let call = measured(row)
                .filter(
                    |(way, _)| matches!(way, Way::Hypercall { privilege, .. } if *privilege == at),
                )
                .map(|(_, measurement)| measurement)
                .min_by(|a, b| median(a).total_cmp(&median(b)))?;
            let better = exits(instruction) == Some(false)
                && instruction.answer != Answer::Wrong
                && less(instruction, call);
            better.then_some((row, instruction, call))
        })
        .collect();
    // What loses most by the call comes first.
    rows.sort_by(|(_, a, a_call), (_, b, b_call)| {
        (median(b_call) - median(b)).total_cmp(&(median(a_call) - median(a)))
    });
    let (_, instruction, call) = rows.first()?;
    let example = format!(
        "{} against {}",
        number::spoken(median(instruction), results.unit),
        number::spoken(median(call), results.unit)
    );
    let cpl = at.cpl();
    let names: Vec<_> = rows.iter().map(|(row, ..)| row.title.clone()).collect();
    Some(match names.as_slice() {
        [one] => format!(
            "Not every call is a gain: at CPL {cpl} this host runs {one} without an exit, for less \
             than the call that replaces it costs ({example})."
        ),
        _ => format!(
            "Not every call is a gain: at CPL {cpl} this host runs {} without an exit, for less \
             than the calls that replace them cost ({} {example}).",
            list(&names, NAMED),
            names[0],
        ),
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
    fn instructions_that_beat_their_call_are_named() {
        assert_eq!(
            cheaper_than_the_call(&fixture::results()),
            [
                "Not every call is a gain: at CPL 0 this host runs MOV to CR3 and RDTSC without an \
             exit, for less than the calls that replace them cost (MOV to CR3 64.0 ns against \
             2.90 us)."
            ]
        );
    }

    #[test]
    fn an_instruction_that_exits_is_not_named() {
        let mut results = fixture::results();
        results.rows.retain(|row| row.name == "rdtsc");
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if cell.way == Way::Native {
                // One exit.
                *cell = fixture::cell(Way::Native, 17.0);
            }
        }
        assert!(cheaper_than_the_call(&results).is_empty());
    }

    #[test]
    fn at_cpl_3_an_instruction_is_compared_with_the_call_from_there() {
        let mut results = fixture::results();
        results.rows.retain(|row| row.name == "rdtsc");
        let cells = &mut results.rows[0].cells;
        cells.retain(|cell| cell.way != Way::Native);
        for cell in cells.iter_mut().filter(|cell| cell.way == Way::Trap) {
            *cell = fixture::changed(Way::Trap, 7.5, |trap| {
                trap.exits.vmm = 0.0;
                trap.exits.kvm = Some(0.0);
            });
        }
        assert_eq!(
            cheaper_than_the_call(&results),
            [
                "Not every call is a gain: at CPL 3 this host runs RDTSC without an exit, for less \
                 than the call that replaces it costs (7.50 ns against 38.6 us)."
            ]
        );
    }

    #[test]
    fn where_guests_do_not_run_at_cpl_0_nothing_is_said_of_it() {
        let mut results = fixture::results();
        for row in &mut results.rows {
            row.cells.retain(|cell| {
                !matches!(cell.way, Way::Hypercall { privilege, .. } if privilege == Privilege::Ring0)
            });
        }
        assert!(cheaper_than_the_call(&results).is_empty());
    }
}
