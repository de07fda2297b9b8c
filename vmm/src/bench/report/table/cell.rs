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
    let marks = measurement.marks.iter();
    let mut marks: Vec<_> = marks.map(|mark| notes.number(mark)).collect();
    marks.sort();
    if !marks.is_empty() {
        let marks: Vec<_> = marks.iter().map(ToString::to_string).collect();
        text.push_str(&format!("!{} ", marks.join(",")));
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
    use crate::bench::report::fixture;
    use crate::bench::result::Way;

    #[test]
    fn several_marks_are_one_word() {
        let mut notes = Notes::default();
        notes.number("known");
        let cell = fixture::changed(Way::Trap, 36_000.0, |trap| {
            trap.marks = vec!["new".to_string(), "known".to_string()];
        });
        assert_eq!(text(&cell, Unit::Nanoseconds, &mut notes), "!1,2 36.0 us");
    }

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
