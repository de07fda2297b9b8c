//! The hole in x86's virtualization without VMX or SVM.

use super::list;
use crate::bench::report::ways;
use crate::bench::result::{Answer, Results, Way};

/// How many instructions are named.
const NAMED: usize = 8;

/// The instructions that answer wrongly and do not trap.
pub fn silently(results: &Results) -> Vec<String> {
    let places = [("CPL 0", Way::Native), ("CPL 3", Way::Trap)];
    places
        .into_iter()
        .filter_map(|(place, way)| {
            let titles: Vec<_> = results
                .rows
                .iter()
                .filter(|row| {
                    ways::measurement(row, way)
                        .is_some_and(|measurement| measurement.answer == Answer::Wrong)
                })
                .map(|row| row.title.clone())
                .collect();
            let names = list(&titles, NAMED);
            match titles.len() {
                0 => None,
                1 => Some(format!(
                    "At {place} {names} does not trap, and does the wrong thing: no VMM can \
                     notice."
                )),
                _ => Some(format!(
                    "At {place} {names} do not trap, and do the wrong thing: no VMM can notice."
                )),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn instructions_that_lie_are_named_with_where_they_do() {
        assert_eq!(
            silently(&fixture::results()),
            [
                "At CPL 3 SGDT <of whom?> & \"why\" does not trap, and does the wrong thing: no \
                 VMM can notice."
            ]
        );
        let mut results = fixture::results();
        results.rows.retain(|row| row.name != "sgdt");
        assert!(silently(&results).is_empty());
    }
}
