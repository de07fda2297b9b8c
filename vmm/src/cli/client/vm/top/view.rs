//! The list as it is shown.

use super::Order;
use super::rates::Row;
use crate::cli::client::human::{self, clean};
use crate::cli::client::table::{Column, render};
use paravane_api::VmState;
use std::time::Duration;

const KEYS: &str = "sort by: c CPU, e exits, h hypercalls, m memory, s steal, n name; q ends";

/// A table of VMs.
pub fn table(rows: &[Row]) -> String {
    let columns = [
        Column::Text("NAME"),
        Column::Text("STATE"),
        Column::Figure("CPU %"),
        Column::Figure("EXITS/S"),
        Column::Figure("CALLS/S"),
        Column::Figure("MEMORY"),
        Column::Figure("RAM"),
        Column::Figure("STEAL %"),
        Column::Figure("UP"),
    ];
    let row = |row: &Row| {
        [
            clean(&row.name),
            row.state.name().to_string(),
            format!("{:.1}", row.cpu_percent),
            human::count(row.exits_per_second),
            human::count(row.hypercalls_per_second),
            human::bytes(row.memory_bytes),
            human::bytes(row.ram_bytes),
            format!("{:.1}", row.steal_percent),
            human::duration(Duration::from_nanos(row.uptime_ns)),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    render(columns, &rows)
}

/// What the screen shows: the sums, the keys, and the table.
pub fn page(rows: &[Row], order: Order) -> String {
    let running = rows.iter().filter(|row| row.state == VmState::Running);
    let cpu: f64 = rows.iter().map(|row| row.cpu_percent).sum();
    let memory = rows.iter().map(|row| row.memory_bytes);
    let order = match order {
        Order::Cpu => "CPU",
        Order::Exits => "exits",
        Order::Calls => "hypercalls",
        Order::Memory => "memory",
        Order::Steal => "steal",
        Order::Name => "name",
    };
    format!(
        "{} VMs, {} running, {cpu:.1} % CPU, {} of memory; by {order}\n{KEYS}\n\n{}",
        rows.len(),
        running.count(),
        human::bytes(memory.fold(0, u64::saturating_add)),
        table(rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_keys_are_above_the_table() {
        let row = |name: &str, state| Row {
            id: name.to_string(),
            name: name.to_string(),
            state,
            cpu_percent: 12.34,
            exits_per_second: 12_345.0,
            hypercalls_per_second: 0.0,
            steal_percent: 0.0,
            memory_bytes: 3 << 20,
            ram_bytes: 8 << 20,
            uptime_ns: 5_000_000_000,
        };
        let rows = [row("a", VmState::Running), row("b", VmState::Paused)];
        let page = page(&rows, Order::Cpu);
        let mut lines = page.lines();
        let sums = "2 VMs, 1 running, 24.7 % CPU, 6 MiB of memory; by CPU";
        assert_eq!(lines.next(), Some(sums));
        assert_eq!(lines.next(), Some(KEYS));
        let rest: Vec<_> = lines.skip(1).collect();
        let heading = "NAME  STATE    CPU %  EXITS/S  CALLS/S  MEMORY    RAM  STEAL %  UP";
        let first = "a     running   12.3    12.3k        0   3 MiB  8 MiB      0.0  5s";
        assert_eq!(rest.first(), Some(&heading));
        assert_eq!(rest.get(1), Some(&first));
    }
}
