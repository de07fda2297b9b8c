//! Where the real instruction is the better choice.

use super::{less, list, measured};
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Exits, Measurement, Results, Way};

/// How many rows are named.
const NAMED: usize = 4;

/// The instructions that cost no exit at CPL 0 and less than the call that replaces them.
pub fn cheaper_than_the_call(results: &Results) -> Option<String> {
    let mut rows: Vec<_> = results
        .rows
        .iter()
        .filter_map(|row| {
            let native = ways::measurement(row, Way::Native)?;
            let call = measured(row)
                .filter(|(way, _)| matches!(way, Way::Hypercall { .. }))
                .map(|(_, measurement)| measurement)
                .min_by(|a, b| median(a).total_cmp(&median(b)))?;
            let better =
                no_exit(&native.exits) && native.answer != Answer::Wrong && less(native, call);
            better.then_some((row, native, call))
        })
        .collect();
    // What loses most by the call comes first.
    rows.sort_by(|(_, a, a_call), (_, b, b_call)| {
        (median(b_call) - median(b)).total_cmp(&(median(a_call) - median(a)))
    });
    let (_, native, call) = rows.first()?;
    let example = format!(
        "{} against {}",
        number::spoken(median(native), results.unit),
        number::spoken(median(call), results.unit)
    );
    let names: Vec<_> = rows.iter().map(|(row, ..)| row.title.clone()).collect();
    Some(match names.as_slice() {
        [one] => format!(
            "At CPL 0 this host runs {one} without an exit, for less than the call that replaces \
             it costs ({example})."
        ),
        _ => format!(
            "Not every call is a gain: at CPL 0 this host runs {} without an exit, for less than \
             the calls that replace them cost ({} {example}).",
            list(&names, NAMED),
            names[0],
        ),
    })
}

fn no_exit(exits: &Exits) -> bool {
    // Without KVM's count, what is known of the host counts.
    exits.vmm < 0.1
        && exits
            .kvm
            .or(exits.expected)
            .is_some_and(|exits| exits < 0.1)
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
            cheaper_than_the_call(&fixture::results()).unwrap(),
            "Not every call is a gain: at CPL 0 this host runs MOV to CR3 and RDTSC without an \
             exit, for less than the calls that replace them cost (MOV to CR3 64.0 ns against \
             2.90 us)."
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
        assert_eq!(cheaper_than_the_call(&results), None);
    }
}
