//! A table of figures, in Markdown.

use super::Spread;
use super::guest::Figure;
use std::fmt;

/// Rows of figures under a title.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    what: String,
    unit: &'static str,
    /// By how much a sample is divided to be in that unit.
    divisor: f64,
    spread: Spread,
}

impl Table {
    /// A table without rows.
    pub fn new(title: &str) -> Self {
        Self {
            title: title.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, in the unit that is read best.
    pub fn row(&mut self, what: &str, unit: &str, spread: Spread) {
        let (unit, divisor) = match unit {
            "ps" => ("ns", 1e3),
            "ns" => ("us", 1e3),
            _ => ("", 1.0),
        };
        self.rows.push(Row {
            what: what.into(),
            unit,
            divisor,
            spread,
        });
    }

    /// Adds the figure of this name, if it is there.
    pub fn figure(&mut self, figures: &[Figure], name: &str, what: &str) {
        if let Some(figure) = figures.iter().find(|figure| figure.name == name) {
            self.row(what, &figure.unit, figure.spread.clone());
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", self.title)?;
        writeln!(f, "| | unit | n | min | p50 | p90 | p99 | max |")?;
        writeln!(f, "|---|---|---:|---:|---:|---:|---:|---:|")?;
        for row in &self.rows {
            write!(f, "| {} | {} | {} |", row.what, row.unit, row.spread.len())?;
            for fraction in [0.0, 0.5, 0.9, 0.99, 1.0] {
                let value = row.spread.quantile(fraction) / row.divisor;
                // Whole things are counted, times are measured.
                match row.unit {
                    "" => write!(f, " {value:.0} |")?,
                    _ => write!(f, " {value:.1} |")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_shown_in_the_unit_that_is_read_best() {
        let mut table = Table::new("Times");
        table.row("clock", "ps", Spread::new(vec![25_400.0, 26_000.0]));
        table.row("calls", "exits", Spread::new(vec![2.0]));
        let text = table.to_string();
        assert!(
            text.contains("| clock | ns | 2 | 25.4 | 26.0 | 26.0 | 26.0 | 26.0 |\n"),
            "{text}"
        );
        assert!(
            text.contains("| calls |  | 1 | 2 | 2 | 2 | 2 | 2 |\n"),
            "{text}"
        );
    }
}
