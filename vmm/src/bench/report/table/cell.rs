//! A cell as a line of text.

use crate::bench::report::notes::Notes;
use crate::bench::report::number;
use crate::bench::result::{Answer, Cell, Exits, Outcome, Unit};

/// Stands where the answer was wrong, in place of what it cost.
const WRONG: &str = "wrong, silently";

/// What a cell says: the median at the end, so that medians stand below each other, and before it
/// what is odd about it.
pub fn text(cell: &Cell, unit: Unit, notes: &mut Notes) -> String {
    let measurement = match &cell.outcome {
        Outcome::Measured(measurement) => measurement,
        Outcome::Absent { reason } => return format!("-[{}]", notes.number(reason)),
    };
    let mut text = String::new();
    if let Some((exits, expected)) = odd_exits(&measurement.exits) {
        text.push_str(&format!("{exits}/{expected}x "));
    }
    for mark in &measurement.marks {
        text.push_str(&format!("!{} ", notes.number(mark)));
    }
    match measurement.answer {
        Answer::Wrong => text.push_str(WRONG),
        Answer::Right | Answer::Unchecked => {
            text.push_str(&number::cost(measurement.spread.p50, unit));
        }
    }
    text
}

/// Exits and expected exits, where they are not the same to a person.
pub fn odd_exits(exits: &Exits) -> Option<(String, String)> {
    let (kvm, expected) = (exits.kvm?, exits.expected?);
    // An interrupt of the host now and then is an exit as well.
    let odd = (kvm - expected).abs() > 0.1_f64.max(expected * 0.02);
    odd.then(|| (number::count(kvm), number::count(expected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(kvm: Option<f64>, expected: Option<f64>) -> Option<String> {
        let odd = odd_exits(&Exits {
            kvm,
            vmm: 1.0,
            expected,
        });
        odd.map(|(exits, expected)| format!("{exits}/{expected}"))
    }

    #[test]
    fn exits_are_odd_where_they_are_known_and_more_than_an_interrupt_away() {
        assert_eq!(odd(Some(2.0), Some(1.0)).as_deref(), Some("2/1"));
        assert_eq!(odd(Some(0.0), Some(1.0)).as_deref(), Some("0/1"));
        assert_eq!(odd(Some(1.03), Some(1.0)), None);
        assert_eq!(odd(None, Some(1.0)), None);
        assert_eq!(odd(Some(2.0), None), None);
    }
}
