//! The table of all rows and ways.

use crate::bench::report::column::{self, Column};
use crate::bench::report::notes::Notes;
use crate::bench::report::peers::Peer;
use crate::bench::report::table::odd_exits;
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Cell, Measurement, Outcome, Results, RowResult, Unit};
use maud::{Markup, html};

/// The table with its footnotes.
pub fn section(results: &Results, peers: &[&Peer], notes: &mut Notes) -> Markup {
    let columns = Column::all(results);
    let replaced = results.rows.iter().any(|row| !row.replaced_by.is_empty());
    let width = 1 + columns.len() + peers.len() + usize::from(replaced);
    let scale = Scale::of(results);
    let what = match results.unit {
        Unit::Nanoseconds => "Median time of one operation.",
        Unit::Instructions => {
            "Median instructions of one operation, of kernel, VMM and guest together."
        }
    };
    html! {
        section #table {
            h2 { "All rows" }
            p { (what) " The line under a figure grows with its logarithm." }
            p #filter hidden {
                label for="filter-text" { "Show rows with" } " "
                input #filter-text type="search" placeholder="cr3, time, wrong …";
            }
            div.scroll tabindex="0" role="region" aria-label="Table of all rows" {
                table.costs {
                    thead { tr {
                        th scope="col" { "operation" }
                        @for column in &columns {
                            @let [first, second] = column.heading();
                            th.way scope="col" style=(colour(*column)) {
                                (first) br; span.mode { (second) }
                            }
                        }
                        @for peer in peers {
                            th.way scope="col" { (peer.name) br; span.mode { "peer" } }
                        }
                        @if replaced { th.by scope="col" { "replaced by" } }
                    } }
                    @for (group, rows) in column::groups(results) {
                        tbody {
                            tr.group { th scope="rowgroup" colspan=(width) { (group) } }
                            @for row in rows {
                                tr.row {
                                    th scope="row" {
                                        a href=(format!("#row-{}", row.name)) { (row.title) }
                                    }
                                    @for column in &columns {
                                        (cost(row, *column, results.unit, &scale, notes))
                                    }
                                    @for peer in peers {
                                        td.cost {
                                            @if let Some(value) = peer.cost(&row.name) {
                                                (number::cost(value, results.unit))
                                            }
                                        }
                                    }
                                    @if replaced { td.by { (row.replaced_by) } }
                                }
                            }
                        }
                    }
                }
            }
            (footnotes(results, peers, notes))
        }
    }
}

/// The logarithmic scale of the lines under figures.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(results: &Results) -> Self {
        let cells = results.rows.iter().flat_map(|row| &row.cells);
        let medians = cells.filter_map(|cell| Some(ways::measured(cell)?.spread.p50));
        let (low, high) = medians
            .filter(|median| *median > 0.0)
            .fold((f64::INFINITY, 0.0f64), |(low, high), median| {
                (low.min(median), high.max(median))
            });
        Self { low, high }
    }

    /// The part of the longest line that a cost has, in per cent.
    fn part(&self, cost: f64) -> f64 {
        let (least, range) = (4.0, (self.high / self.low).ln());
        match cost > self.low && range > 0.0 {
            true => least + (100.0 - least) * (cost / self.low).ln() / range,
            false => least,
        }
    }
}

fn colour(column: Column) -> String {
    format!("--way:{}", ways::css(column.way()))
}

fn cost(row: &RowResult, column: Column, unit: Unit, scale: &Scale, notes: &mut Notes) -> Markup {
    let Some(Cell { outcome, .. }) = column.cell(row) else {
        return html! { td.none {} };
    };
    let measurement = match outcome {
        Outcome::Measured(measurement) => measurement,
        Outcome::Absent { reason } => {
            let number = notes.number(reason);
            return html! { td.none { span title=(reason) { "–" } (reference(number, "", reason)) } };
        }
    };
    let wrong = measurement.answer == Answer::Wrong;
    let length = scale.part(measurement.spread.p50);
    let style = match wrong {
        true => colour(column),
        false => format!("{};--length:{length:.0}", colour(column)),
    };
    html! {
        td.cost.wrong[wrong] style=(style) {
            @if let Some((exits, expected)) = odd_exits(&measurement.exits) {
                span.exits { (exits) "/" (expected) " exits" } " "
            }
            @for mark in &measurement.marks {
                (reference(notes.number(mark), "!", mark))
            }
            span title=(summary(measurement, unit)) {
                @if wrong { "wrong, silently" } @else {
                    (number::cost(measurement.spread.p50, unit))
                }
            }
        }
    }
}

fn reference(number: usize, sign: &str, text: &str) -> Markup {
    html! { sup { a href=(format!("#note-{number}")) title=(text) { (sign) (number) } } }
}

/// A cell's tooltip.
fn summary(measurement: &Measurement, unit: Unit) -> String {
    let spread = &measurement.spread;
    let (low, high) = measurement.confidence;
    format!(
        "median {} (99% certain: {} to {}), 99th percentile {}, {} samples",
        number::spoken(spread.p50, unit),
        number::exact(low, unit),
        number::exact(high, unit),
        number::cost(spread.p99, unit),
        number::whole(spread.n as f64)
    )
}

fn footnotes(results: &Results, peers: &[&Peer], notes: &Notes) -> Markup {
    let measured = || {
        let cells = results.rows.iter().flat_map(|row| &row.cells);
        cells.filter_map(ways::measured)
    };
    let exits = measured().any(|measurement| odd_exits(&measurement.exits).is_some());
    let wrong = measured().any(|measurement| measurement.answer == Answer::Wrong);
    html! {
        div.notes {
            ol {
                @for (number, note) in notes.iter() {
                    li id=(format!("note-{number}")) { (note) }
                }
            }
            @if exits {
                p { strong { "2/1 exits" } ", for example: two exits for each operation, where this host should have one." }
            }
            @if wrong {
                p {
                    strong { "wrong, silently" }
                    ": the instruction neither trapped nor did what it does on a machine of one's own."
                }
            }
            @for (column, reasons) in Column::empty(results) {
                p { "Not measured: " (column.heading().join(" ")) ": " (reasons.join("; ")) "." }
            }
            @for peer in peers {
                p { (peer.name) " was measured on " (peer.host) "; from " (peer.source) "." }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_under_a_figure_grows_with_the_logarithm() {
        let scale = Scale {
            low: 10.0,
            high: 100_000.0,
        };
        assert_eq!(scale.part(10.0), 4.0);
        assert_eq!(scale.part(-1.0), 4.0);
        assert_eq!(scale.part(1_000.0), 52.0);
        assert_eq!(scale.part(100_000.0), 100.0);
    }

    #[test]
    fn one_cost_alone_has_a_line_too() {
        let scale = Scale {
            low: 10.0,
            high: 10.0,
        };
        assert_eq!(scale.part(10.0), 4.0);
    }
}
