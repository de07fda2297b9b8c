//! A line for each row and way, for a spreadsheet or a statistics program.

use crate::bench::result::{Answer, Outcome, Results, Unit, Way};
use crate::carrier::{Carrier, Privilege};
use ::csv::WriterBuilder;
use serde::Serialize;

/// A line; its fields are the columns. A field is empty where there is nothing to say.
#[derive(Debug, Default, Serialize)]
struct Line<'a> {
    name: &'a str,
    title: &'a str,
    group: &'a str,
    way: &'static str,
    privilege: Option<Privilege>,
    carrier: Option<Carrier>,
    batch: Option<u32>,
    unit: &'static str,
    n: Option<u64>,
    min: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
    p999: Option<f64>,
    max: Option<f64>,
    p50_low: Option<f64>,
    p50_high: Option<f64>,
    exits_kvm: Option<f64>,
    exits_vmm: Option<f64>,
    exits_expected: Option<f64>,
    answer: &'static str,
    marks: String,
    absent: &'a str,
}

/// The run as CSV, with a heading. Costs are not rounded; `p50_low` and `p50_high` are the
/// confidence interval of the median.
pub fn render(results: &Results) -> String {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    for row in &results.rows {
        for cell in &row.cells {
            let mut line = Line {
                name: &row.name,
                title: &row.title,
                group: &row.group,
                unit: match results.unit {
                    Unit::Nanoseconds => "nanoseconds",
                    Unit::Instructions => "instructions",
                },
                ..way(cell.way)
            };
            match &cell.outcome {
                Outcome::Absent { reason } => line.absent = reason,
                Outcome::Measured(measurement) => {
                    let spread = &measurement.spread;
                    line.n = Some(spread.n);
                    line.min = Some(spread.min);
                    line.p50 = Some(spread.p50);
                    line.p90 = Some(spread.p90);
                    line.p99 = Some(spread.p99);
                    line.p999 = Some(spread.p999);
                    line.max = Some(spread.max);
                    line.p50_low = Some(measurement.confidence.0);
                    line.p50_high = Some(measurement.confidence.1);
                    line.exits_kvm = measurement.exits.kvm;
                    line.exits_vmm = Some(measurement.exits.vmm);
                    line.exits_expected = measurement.exits.expected;
                    line.answer = match measurement.answer {
                        Answer::Right => "right",
                        Answer::Wrong => "wrong",
                        Answer::Unchecked => "unchecked",
                    };
                    line.marks = measurement.marks.join("; ");
                }
            }
            writer.serialize(line).expect("memory can be written");
        }
    }
    let bytes = writer.into_inner().expect("memory can be written");
    String::from_utf8(bytes).expect("all fields are UTF-8")
}

fn way<'a>(way: Way) -> Line<'a> {
    let line = |way, privilege, carrier, batch| Line {
        way,
        privilege,
        carrier,
        batch,
        ..Line::default()
    };
    match way {
        Way::Floor { privilege, carrier } => line("floor", Some(privilege), Some(carrier), None),
        Way::Native => line("native", None, None, None),
        Way::Trap => line("trap", None, None, None),
        Way::Hypercall { privilege, carrier } => {
            line("hypercall", Some(privilege), Some(carrier), None)
        }
        Way::Exitless { privilege } => line("exitless", Some(privilege), None, None),
        Way::Batch {
            privilege,
            carrier,
            size,
        } => line("batch", Some(privilege), Some(carrier), Some(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;
    use std::collections::HashMap;

    fn parse(text: &str) -> Vec<HashMap<String, String>> {
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        reader.deserialize().map(Result::unwrap).collect()
    }

    fn line(lines: &[HashMap<String, String>], name: &str, way: &str) -> HashMap<String, String> {
        let found = lines
            .iter()
            .find(|line| line["name"] == name && line["way"] == way);
        found.cloned().expect("the line is there")
    }

    #[test]
    fn every_cell_is_a_line() {
        let results = fixture::results();
        let cells: usize = results.rows.iter().map(|row| row.cells.len()).sum();
        assert_eq!(parse(&render(&results)).len(), cells);
    }

    #[test]
    fn a_line_has_the_figures_as_they_are() {
        let lines = parse(&render(&fixture::results()));
        let trap = line(&lines, "mov-to-cr3", "trap");
        for (column, value) in [
            ("title", "MOV to CR3"),
            ("privilege", ""),
            ("unit", "nanoseconds"),
            ("n", "1000"),
            ("p50", "82000.0"),
            ("p50_low", "81836.0"),
            ("exits_kvm", "2.0"),
            ("exits_expected", "1.0"),
            ("answer", "right"),
            ("marks", fixture::MARK),
            ("absent", ""),
        ] {
            assert_eq!(trap[column], value, "{column}");
        }
        let batch = line(&lines, "noop", "batch");
        assert_eq!(batch["privilege"], "ring0");
        assert_eq!(batch["carrier"], "vmcall");
        assert_eq!(batch["batch"], "1");
    }

    #[test]
    fn what_cannot_be_had_is_a_line_with_the_reason() {
        let lines = parse(&render(&fixture::results()));
        let native = line(&lines, "noop", "native");
        assert_eq!(native["absent"], fixture::NO_INSTRUCTION);
        assert_eq!(native["p50"], "");
        assert_eq!(native["answer"], "");
    }
}
