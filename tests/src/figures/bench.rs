//! What operations of the ABI cost, and what the bare instructions do that they replace: from
//! `paravane bench`, for the mode that is taken by itself here.

use crate::program::{end, paravane};
use paravane::bench::result::{Measurement, Outcome, Results, Way};
use std::fmt::Write;

/// A way of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Native,
    Call,
    Batch(u32),
    Exitless,
}

/// A figure: what it is, and where it is in the result.
type Figure = (&'static str, &'static str, Kind);

/// The figures, under their titles.
const TABLES: [(&str, &[Figure]); 5] = [
    (
        "Without an exit",
        &[
            ("reading the clock", "rdtsc", Kind::Exitless),
            ("masking and unmasking upcalls", "cli-sti", Kind::Exitless),
        ],
    ),
    (
        "Changing what is mapped, for each page",
        &[
            (
                "`as_protect`, 512 pages a call",
                "pte-write",
                Kind::Batch(512),
            ),
            ("`as_protect`, a page a call", "pte-write", Kind::Batch(1)),
            (
                "a page-table write, INVLPG and a touch",
                "pte-write",
                Kind::Native,
            ),
            (
                "a page fault whose handler calls `as_map`",
                "demand-page",
                Kind::Call,
            ),
            (
                "a page fault whose handler writes a page table",
                "demand-page",
                Kind::Native,
            ),
        ],
    ),
    (
        "From a vCPU to another",
        &[
            (
                "`event_send` to the handler, the other vCPU runs",
                "ipi-running",
                Kind::Call,
            ),
            (
                "an IPI to the handler, the other vCPU runs",
                "ipi-running",
                Kind::Native,
            ),
            (
                "`event_send` to a vCPU that waits",
                "ipi-halted",
                Kind::Call,
            ),
            ("an IPI to a vCPU that waits", "ipi-halted", Kind::Native),
        ],
    ),
    (
        "How late a timer of 1 ms is",
        &[
            ("`time_oneshot`, the vCPU runs", "apic-timer", Kind::Call),
            (
                "the APIC's timer, the vCPU runs",
                "apic-timer",
                Kind::Native,
            ),
            (
                "`time_oneshot`, the vCPU waits",
                "apic-timer-halted",
                Kind::Call,
            ),
            (
                "the APIC's timer, the vCPU waits",
                "apic-timer-halted",
                Kind::Native,
            ),
        ],
    ),
    (
        "Starting a vCPU",
        &[
            (
                "`vcpu_start` to the first instruction",
                "vcpu-start",
                Kind::Call,
            ),
            (
                "INIT and SIPI to the first instruction",
                "vcpu-start",
                Kind::Native,
            ),
        ],
    ),
];

/// Measures, and gives the tables in Markdown.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn tables() -> Result<String, String> {
    let mut rows: Vec<_> = figures().map(|&(_, row, _)| row).collect();
    rows.dedup();
    let ended = end(&mut paravane([
        "bench",
        "--json",
        "--filter",
        &rows.join(","),
    ]));
    if ended.code != 0 {
        return Err(format!(
            "paravane bench ended with {}:\n{}",
            ended.code, ended.stderr
        ));
    }
    let results = serde_json::from_str(&ended.stdout);
    Ok(render(
        &results.map_err(|error| format!("paravane bench: {error}"))?,
    ))
}

fn figures() -> impl Iterator<Item = &'static Figure> {
    TABLES.iter().flat_map(|(_, figures)| *figures)
}

fn render(results: &Results) -> String {
    let mut text = String::new();
    for (title, figures) in TABLES {
        // A string takes what there is memory for.
        let _ = writeln!(text, "\n{title}\n");
        let _ = writeln!(text, "| | unit | n | min | p50 | p90 | p99 | max | exits |");
        let _ = writeln!(text, "|---|---|---:|---:|---:|---:|---:|---:|---:|");
        for &(what, row, kind) in figures {
            match find(results, row, kind) {
                Ok(measurement) => {
                    let _ = writeln!(text, "| {what} {}", line(measurement));
                }
                Err(reason) => {
                    let _ = writeln!(text, "| {what}: {reason} | | | | | | | | |");
                }
            }
        }
    }
    text
}

fn line(measurement: &Measurement) -> String {
    let spread = &measurement.spread;
    let (unit, divisor) = match spread.p50 {
        ..1000.0 => ("ns", 1.0),
        _ => ("us", 1000.0),
    };
    let mut line = format!("| {unit} | {} |", spread.n);
    for value in [spread.min, spread.p50, spread.p90, spread.p99, spread.max] {
        let _ = write!(line, " {:.1} |", value / divisor);
    }
    let _ = write!(line, " {:.3} |", measurement.exits.vmm);
    line
}

/// What was measured, or why it was not.
fn find<'a>(results: &'a Results, row: &str, kind: Kind) -> Result<&'a Measurement, &'a str> {
    let automatic = &results.provenance.automatic;
    let is_it = |way| match (way, kind) {
        (Way::Native, Kind::Native) => true,
        (Way::Hypercall { privilege, carrier }, Kind::Call) => {
            *automatic == format!("{privilege}/{carrier}")
        }
        (
            Way::Batch {
                privilege,
                carrier,
                size,
            },
            Kind::Batch(wanted),
        ) => size == wanted && *automatic == format!("{privilege}/{carrier}"),
        (Way::Exitless { privilege }, Kind::Exitless) => {
            automatic.starts_with(&format!("{privilege}/"))
        }
        _ => false,
    };
    let found = results.rows.iter().find(|found| found.name == row);
    let mut cells = found.into_iter().flat_map(|row| &row.cells);
    match cells.find(|cell| is_it(cell.way)).map(|cell| &cell.outcome) {
        Some(Outcome::Measured(measurement)) => Ok(measurement),
        Some(Outcome::Absent { reason }) => Err(reason),
        None => Err("the bench has no such way"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paravane::bench::rows;

    #[test]
    fn the_bench_has_the_rows_that_the_figures_are_of() {
        for &(what, name, _) in figures() {
            assert!(
                rows::all().any(|(_, row)| row.name == name),
                "{what}: there is no row {name}"
            );
        }
    }
}
