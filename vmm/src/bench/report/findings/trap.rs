//! What it costs to trap and emulate.

use super::{FLOOR, exits, measured};
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Results, RowResult, Way};

/// The operation that is most expensive to trap and emulate, and the cheapest way that replaces
/// it.
pub fn most_expensive(results: &Results) -> Option<String> {
    let spoken = |value| number::spoken(value, results.unit);
    let (row, trap) = results
        .rows
        .iter()
        .filter(|row| row.name != FLOOR)
        .filter_map(|row| Some((row, ways::measurement(row, Way::Trap)?)))
        .filter(|(_, trap)| trap.answer != Answer::Wrong && exits(trap) == Some(true))
        .max_by(|(_, a), (_, b)| a.spread.p50.total_cmp(&b.spread.p50))?;
    let mut text = format!(
        "The most expensive to trap and emulate is {}: {}",
        row.title,
        spoken(trap.spread.p50)
    );
    if let Some((way, cost)) = cheapest_replacement(row) {
        text.push_str(&format!("; by {way} it costs {}", spoken(cost)));
    }
    text.push('.');
    Some(text)
}

fn cheapest_replacement(row: &RowResult) -> Option<(String, f64)> {
    measured(row)
        .filter(|(way, _)| matches!(way, Way::Hypercall { .. } | Way::Exitless { .. }))
        .map(|(way, measurement)| (ways::label(way), measurement.spread.p50))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn the_most_expensive_trap_is_named_with_what_replaces_it() {
        assert_eq!(
            most_expensive(&fixture::results()).unwrap(),
            "The most expensive to trap and emulate is MOV to CR3: 82.0 us; by hypercall \
             ring0/vmcall it costs 2.90 us."
        );
    }
}
