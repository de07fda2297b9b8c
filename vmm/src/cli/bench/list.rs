//! What there is to measure.

use super::select::Selected;
use crate::cli::exit_code::Failure;
use crate::cli::output;
use serde::Serialize;
use std::fmt;

/// The rows.
#[derive(Debug, Serialize)]
struct List {
    rows: Vec<Entry>,
}

/// A row.
#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    title: &'static str,
    group: &'static str,
    replaced_by: &'static str,
}

/// Prints the rows.
pub fn print(rows: &[Selected], json: bool) -> Result<(), Failure> {
    let entry = |&(group, row): &Selected| Entry {
        name: row.name,
        title: row.title,
        group: group.title,
        replaced_by: row.replaced_by,
    };
    let list = List {
        rows: rows.iter().map(entry).collect(),
    };
    output::print(&list, json)
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut group = "";
        for row in &self.rows {
            if row.group != group {
                if !group.is_empty() {
                    writeln!(f)?;
                }
                writeln!(f, "{}", row.group)?;
                group = row.group;
            }
            writeln!(f, "  {:20} {}", row.name, row.title)?;
        }
        Ok(())
    }
}
