//! What there is to measure.

use super::select::Selected;
use crate::cli::exit_code::Failure;
use crate::cli::output::{print_text, to_json};
use crate::cli::output_file::OutputFile;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

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

/// Prints the rows, for people, or as JSON, or writes that to a file.
pub fn print(rows: &[Selected], json: Option<&Option<PathBuf>>) -> Result<(), Failure> {
    let entry = |&(group, row): &Selected| Entry {
        name: row.name,
        title: row.title,
        group: group.title,
        replaced_by: row.replaced_by,
    };
    let list = List {
        rows: rows.iter().map(entry).collect(),
    };
    match json {
        None => print_text(&list.to_string()),
        Some(None) => print_text(&to_json(&list)?),
        Some(Some(path)) => OutputFile::prepare("the list", path, 0)?.write(&to_json(&list)?),
    }
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
