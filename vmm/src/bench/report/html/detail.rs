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
        "exits",
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
    let (low, high) = measurement.confidence;
    let boots: Vec<_> = measurement
        .boots
        .iter()
        .map(|median| cost(*median))
        .collect();
    html! {
        td { (number::whole(spread.n as f64)) }
        @for value in [spread.min, spread.p50, spread.p90, spread.p99, spread.p999, spread.max] {
            td { (cost(value)) }
        }
        td { (cost(low)) " to " (cost(high)) }
        td { (boots.join(", ")) }
        td { (exits(&measurement.exits)) }
        td {
            @match measurement.answer {
                Answer::Right => "right",
                Answer::Wrong => strong { "wrong" },
                Answer::Unchecked => "–",
            }
        }
    }
}

fn exits(exits: &Exits) -> String {
    let vmm = number::count(exits.vmm);
    let mut text = match exits.kvm {
        Some(kvm) => format!("{} to KVM, {vmm} of them to the VMM", number::count(kvm)),
        None => format!("{vmm} to the VMM"),
    };
    if let Some(expected) = exits.expected {
        text.push_str(&format!("; {} expected", number::count(expected)));
    }
    text
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

    #[test]
    fn exits_are_told_as_far_as_they_are_known() {
        let told = |kvm, expected| {
            exits(&Exits {
                kvm,
                vmm: 1.0,
                expected,
            })
        };
        assert_eq!(
            told(Some(2.0), Some(1.0)),
            "2 to KVM, 1 of them to the VMM; 1 expected"
        );
        assert_eq!(told(None, None), "1 to the VMM");
    }
}
