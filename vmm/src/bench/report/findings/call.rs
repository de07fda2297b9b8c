//! What a call costs.

use super::{FLOOR, NOOP, USER_SYSCALL, list, measured, row, times};
use crate::bench::report::{number, ways};
use crate::bench::result::{Results, Way};

/// How close the hypercall comes to the smallest exit of the host, by each mode.
pub fn over_the_floor(results: &Results) -> Option<String> {
    let (noop, floor) = (row(results, NOOP)?, row(results, FLOOR)?);
    let spoken = |value| number::spoken(value, results.unit);
    let modes: Vec<_> = measured(noop)
        .filter_map(|(way, call)| {
            let Way::Hypercall { privilege, carrier } = way else {
                return None;
            };
            let floor = ways::measurement(floor, Way::Floor { privilege, carrier })?;
            Some(format!(
                "{} times the smallest exit by {privilege}/{carrier} ({} against {})",
                times(call, floor)?,
                spoken(call.spread.p50),
                spoken(floor.spread.p50),
            ))
        })
        .collect();
    (!modes.is_empty()).then(|| format!("A hypercall costs {}.", list(&modes, modes.len())))
}

/// What a user task's system call costs in each mode.
pub fn of_a_user_task(results: &Results) -> Option<String> {
    let modes: Vec<_> = measured(row(results, USER_SYSCALL)?)
        .filter_map(|(way, call)| {
            let place = match way {
                Way::Native => "at CPL 0, native".to_string(),
                Way::Trap => "where it is trapped and emulated".to_string(),
                Way::Hypercall { privilege, carrier } => format!("by {privilege}/{carrier}"),
                Way::Exitless { privilege } => format!("in {privilege} without an exit"),
                Way::Floor { .. } | Way::Batch { .. } => return None,
            };
            let cost = number::spoken(call.spread.p50, results.unit);
            Some(format!("{cost} {place}"))
        })
        .collect();
    (!modes.is_empty()).then(|| {
        format!(
            "A user task's system call costs {}.",
            list(&modes, modes.len())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn the_call_is_compared_with_the_floor_of_its_own_mode() {
        assert_eq!(
            over_the_floor(&fixture::results()).unwrap(),
            "A hypercall costs 1.10 times the smallest exit by ring0/vmcall (2.20 us against 2.00 us) \
             and 1.10 times the smallest exit by ring3/pio (38.5 us against 35.0 us)."
        );
    }

    #[test]
    fn a_mode_without_a_floor_is_not_compared() {
        let mut results = fixture::results();
        for row in results.rows.iter_mut().filter(|row| row.name == FLOOR) {
            row.cells.remove(0);
        }
        let text = over_the_floor(&results).unwrap();
        assert!(!text.contains("ring0"), "{text}");
        assert!(text.contains("ring3/pio"), "{text}");
    }

    #[test]
    fn a_user_tasks_call_is_told_for_each_mode() {
        assert_eq!(
            of_a_user_task(&fixture::results()).unwrap(),
            "A user task's system call costs 120 ns in ring0 without an exit and 4.10 us in ring3 \
             without an exit."
        );
    }
}
