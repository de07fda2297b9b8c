//! What the figures say, in sentences.

mod batching;
mod call;
mod exitless;
mod native;
mod trap;
mod wrong;

use super::number;
use crate::bench::result::{Measurement, Results, RowResult, Way};

/// The row of the call that does nothing.
pub(super) const NOOP: &str = "noop";
/// The row of the bare KVM_RUN loop.
pub(super) const FLOOR: &str = "floor";
/// The row of a user task's system call.
const USER_SYSCALL: &str = "user-syscall";

/// More than this nobody reads.
const MOST: usize = 8;

/// What a reader should take away, the most important first: at most eight sentences, each only
/// where the data bears it.
pub fn findings(results: &Results) -> Vec<String> {
    let mut findings = Vec::new();
    findings.extend(call::over_the_floor(results));
    findings.extend(batching::saves(results));
    findings.extend(exitless::instead_of_traps(results));
    findings.extend(native::cheaper_than_the_call(results));
    findings.extend(wrong::silently(results));
    findings.extend(trap::most_expensive(results));
    findings.extend(call::of_a_user_task(results));
    findings.truncate(MOST);
    findings
}

fn row<'a>(results: &'a Results, name: &str) -> Option<&'a RowResult> {
    results.rows.iter().find(|row| row.name == name)
}

/// All that was measured of a row.
fn measured(row: &RowResult) -> impl Iterator<Item = (Way, &Measurement)> {
    row.cells
        .iter()
        .filter_map(|cell| Some((cell.way, super::ways::measured(cell)?)))
}

/// Whether `a` costs less than `b` for certain.
fn less(a: &Measurement, b: &Measurement) -> bool {
    a.confidence.1 < b.confidence.0
}

/// How many times as much `more` is as `less`. `None` where `less` is nothing: what was measured
/// cannot be told from the empty measurement then.
fn times(more: &Measurement, less: &Measurement) -> Option<String> {
    let (more, less) = (more.spread.p50, less.spread.p50);
    (less > 0.0).then(|| number::ratio(more / less))
}

/// Whether an operation leaves the guest. Without KVM's count, what is known of the host counts;
/// `None` where nothing is.
fn exits(measurement: &Measurement) -> Option<bool> {
    let exits = &measurement.exits;
    // An interrupt of the host now and then is no exit of the operation.
    match exits.vmm >= 0.5 {
        true => Some(true),
        false => exits.kvm.or(exits.expected).map(|exits| exits >= 0.5),
    }
}

/// "a", "a and b", "a, b and c"; of more than `most` the first, and how many others. Words that
/// have commas of their own are kept apart by semicolons.
fn list(words: &[String], most: usize) -> String {
    let comma = match words.iter().any(|word| word.contains(", ")) {
        true => "; ",
        false => ", ",
    };
    match words {
        [] => String::new(),
        [one] => one.clone(),
        _ if words.len() > most => {
            let others = words.len() - most;
            format!("{} and {others} more", words[..most].join(comma))
        }
        [first @ .., last] => format!("{} and {last}", first.join(comma)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn a_run_with_everything_has_a_finding_of_each_kind() {
        let findings = findings(&fixture::results());
        assert!((3..=8).contains(&findings.len()), "{findings:#?}");
        for finding in &findings {
            assert!(finding.ends_with('.'), "{finding}");
        }
    }

    #[test]
    fn a_run_without_data_has_none() {
        let mut results = fixture::results();
        results.rows.clear();
        assert_eq!(findings(&results), Vec::<String>::new());
    }

    #[test]
    fn a_list_that_is_too_long_counts_the_rest() {
        let words: Vec<_> = ["a", "b", "c", "d"].map(str::to_string).into();
        assert_eq!(list(&words[..1], 3), "a");
        assert_eq!(list(&words[..2], 3), "a and b");
        assert_eq!(list(&words[..3], 3), "a, b and c");
        assert_eq!(list(&words, 3), "a, b, c and 1 more");
        assert_eq!(list(&words, 4), "a, b, c and d");
        let words: Vec<_> = ["a, b", "c", "d"].map(str::to_string).into();
        assert_eq!(list(&words, 3), "a, b; c and d");
    }
}
