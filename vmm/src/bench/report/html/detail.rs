//! Everything about one row, folded away until it is wanted.

use super::figure;
use crate::bench::report::{charts, number, ways};
use crate::bench::result::{Answer, Exits, Measurement, Outcome, Results, RowResult, Unit};
use maud::{Markup, html};

/// A row's figures and charts.
pub fn row(results: &Results, row: &RowResult) -> Markup {
    let unit = results.unit;
    let measured = row.cells.iter().any(|cell| ways::measured(cell).is_some());
    html! {
        details.row {
            summary { (row.title) " " code { (row.name) } }
            // Inside, because a link into what is folded away unfolds it.
            div id=(format!("row-{}", row.name)) {
                @if !row.replaced_by.is_empty() {
                    p { "Replaced by: " (row.replaced_by) "." }
                }
                @if measured {
                    (figures(row, unit))
                }
                (remarks(row))
                @if let Some(svg) = charts::cdf::row(results, row) { (figure(&svg)) }
                @if let Some(svg) = charts::batch::row(results, row) { (figure(&svg)) }
            }
        }
    }
}

fn figures(row: &RowResult, unit: Unit) -> Markup {
    let headings = [
        "n",
        "min",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
        "99% interval of p50",
        "medians of VMs",
        "exits to KVM",
        "to the VMM",
        "expected",
        "answer",
    ];
    html! {
        div.scroll tabindex="0" role="region" aria-label=(format!("Figures of {}", row.title)) {
            table.figures {
                thead { tr {
                    th scope="col" { "way" }
                    @for heading in headings { th scope="col" { (heading) } }
                } }
                tbody {
                    @for cell in &row.cells {
                        @if let Some(measurement) = ways::measured(cell) {
                            tr {
                                th.way scope="row" style=(format!("--way:{}", ways::css(cell.way))) {
                                    (ways::label(cell.way))
                                }
                                (line(measurement, unit))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn line(measurement: &Measurement, unit: Unit) -> Markup {
    let spread = &measurement.spread;
    let cost = |value| number::cost(value, unit);
    let exact = |value| number::exact(value, unit);
    let Exits { kvm, vmm, expected } = measurement.exits;
    let (low, high) = measurement.confidence;
    let boots: Vec<_> = measurement
        .boots
        .iter()
        .map(|median| exact(*median))
        .collect();
    html! {
        td { (number::whole(spread.n as f64)) }
        @for value in [spread.min, spread.p50, spread.p90, spread.p99, spread.p999, spread.max] {
            td { (cost(value)) }
        }
        td { (exact(low)) " to " (exact(high)) }
        td { (boots.join(", ")) }
        @for exits in [kvm, Some(vmm), expected] {
            td { (exits.map_or("–".to_string(), number::count)) }
        }
        td {
            @match measurement.answer {
                Answer::Right => "right",
                Answer::Wrong => strong { "wrong" },
                Answer::Unchecked => "–",
            }
        }
    }
}

/// What is to be taken with care, and what cannot be had.
fn remarks(row: &RowResult) -> Markup {
    let remarks: Vec<_> = row
        .cells
        .iter()
        .flat_map(|cell| {
            let texts = match &cell.outcome {
                Outcome::Measured(measurement) => measurement.marks.clone(),
                Outcome::Absent { reason } => vec![reason.clone()],
            };
            let way = ways::label(cell.way);
            texts.into_iter().map(move |text| (way.clone(), text))
        })
        .collect();
    html! {
        @if !remarks.is_empty() {
            ul.remarks {
                @for (way, text) in remarks { li { strong { (way) } ": " (text) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn a_figure_that_the_host_does_not_have_is_a_dash() {
        let mut measurement = fixture::measurement(2_200.0);
        measurement.exits = Exits {
            kvm: None,
            vmm: 1.0,
            expected: None,
        };
        let line = line(&measurement, Unit::Nanoseconds).into_string();
        assert!(line.contains("<td>–</td><td>1</td><td>–</td>"), "{line}");
        assert!(line.contains("2.1956 us to 2.2044 us"), "{line}");
    }
}
