//! What becomes of a result: a table, and files.

use super::BenchArgs;
use super::select::Selected;
use crate::cli::exit_code::{Failure, notice};
use crate::cli::output::{print_text, to_json};
use crate::cli::output_file::OutputFile;
use paravane::bench::report::compare::{self, Comparison};
use paravane::bench::report::peers::{self, Peers};
use paravane::bench::report::{charts, csv, html, table};
use paravane::bench::result::{Results, Unit};
use paravane::bench::rows;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What a file will need at most; a disk that has no room for it is full.
const ROOM: usize = 8 << 20;

/// Columns of what is no terminal.
const WIDE: usize = 200;

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Printed {
    Table,
    Json,
    Csv,
}

/// Where a result goes.
#[derive(Debug)]
pub struct Outputs {
    printed: Printed,
    json: Option<OutputFile>,
    csv: Option<OutputFile>,
    html: Option<OutputFile>,
    svg: Option<PathBuf>,
    old: Option<Results>,
    peers: Option<Peers>,
}

impl Outputs {
    /// Checks that all can be written, and reads what the result is shown beside.
    pub fn prepare(args: &BenchArgs, unit: Unit, rows: &[Selected]) -> Result<Self, Failure> {
        let file = |what, path: &Option<Option<PathBuf>>| match path {
            Some(Some(path)) => OutputFile::prepare(what, path, ROOM).map(Some),
            _ => Ok(None),
        };
        let printed = match (&args.json, &args.csv) {
            (Some(None), Some(None)) => {
                return Err(Failure::configuration(
                    "--json and --csv cannot both be printed; write one to a file, as in \
                     --csv=FILE",
                ));
            }
            (_, Some(None)) if args.compare.is_some() => {
                return Err(Failure::configuration(
                    "--compare prints no CSV; write the CSV to a file, as in --csv=FILE",
                ));
            }
            (Some(None), _) => Printed::Json,
            (_, Some(None)) => Printed::Csv,
            _ => Printed::Table,
        };
        if let (Some(Some(json)), Some(Some(csv))) = (&args.json, &args.csv)
            && json == csv
        {
            return Err(Failure::configuration(format!(
                "--json and --csv cannot both be written to {}; name two files",
                json.display()
            )));
        }
        let html = args.html.as_deref();
        Ok(Self {
            printed,
            json: file("the result", &args.json)?,
            csv: file("the result", &args.csv)?,
            html: html
                .map(|path| OutputFile::prepare("the page", path, ROOM))
                .transpose()?,
            svg: args.svg.as_deref().map(prepare_directory).transpose()?,
            old: args
                .compare
                .as_deref()
                .map(|path| load(path, unit, rows))
                .transpose()?,
            peers: args
                .peers
                .as_deref()
                .map(|path| read_peers(path, unit))
                .transpose()?,
        })
    }

    /// Shows and writes a result. A file that cannot be written keeps no other from it.
    pub fn write(&self, results: &Results) -> Result<(), Failure> {
        let comparison = match &self.old {
            Some(old) => Some(compare::compare(old, results).map_err(incomparable)?),
            None => None,
        };
        let peers = self.peers.as_ref();
        let mut written = vec![self.print(results, comparison.as_ref())];
        if let Some(file) = &self.json {
            written.push(to_json(results).and_then(|text| file.write(&text)));
        }
        if let Some(file) = &self.csv {
            written.push(file.write(&csv::render(results)));
        }
        if let Some(file) = &self.html {
            written.push(file.write(&html::render(results, peers)));
        }
        if let Some(directory) = &self.svg {
            for (name, chart) in charts::all(results) {
                let path = directory.join(name + ".svg");
                let file = OutputFile::prepare("the chart", &path, 0);
                written.push(file.and_then(|file| file.write(&chart)));
            }
        }
        let mut failures = written.into_iter().filter_map(Result::err);
        let last = failures.next();
        for failure in failures {
            notice(&failure.message);
        }
        last.map_or(Ok(()), Err)
    }

    fn print(&self, results: &Results, comparison: Option<&Comparison>) -> Result<(), Failure> {
        let text = match (self.printed, comparison) {
            (Printed::Json, Some(comparison)) => to_json(comparison)?,
            (Printed::Json, None) => to_json(results)?,
            (Printed::Csv, _) => csv::render(results),
            (Printed::Table, comparison) => {
                let width = width();
                let mut text = table::render(results, self.peers.as_ref(), width);
                if let Some(comparison) = comparison {
                    text.push('\n');
                    text.push_str(&compare::render(comparison));
                }
                text
            }
        };
        print_text(&text)
    }
}

/// Columns of the terminal, or what the environment says that they are.
fn width() -> usize {
    let told = std::env::var("COLUMNS").ok();
    if let Some(columns) = told.and_then(|columns| columns.parse().ok()) {
        return columns;
    }
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return WIDE;
    }
    match rustix::termios::tcgetwinsize(&stdout) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => 80,
    }
}

/// Creates the directory if it is not there, and checks that files can be written in it.
fn prepare_directory(path: &Path) -> Result<PathBuf, Failure> {
    fs::create_dir_all(path).map_err(|error| {
        Failure::configuration(format!(
            "the charts' directory {} cannot be created: {error}",
            path.display()
        ))
    })?;
    OutputFile::prepare("a chart", &path.join("chart.svg"), ROOM)?;
    Ok(path.to_owned())
}

/// Reads an earlier result, of which the rows count that are measured now.
fn load(path: &Path, unit: Unit, rows: &[Selected]) -> Result<Results, Failure> {
    let mut old = compare::load(path).map_err(incomparable)?;
    compare::check_unit(&old, unit).map_err(incomparable)?;
    old.rows
        .retain(|old| rows.iter().any(|(_, row)| row.name == old.name));
    Ok(old)
}

fn incomparable(error: compare::CompareError) -> Failure {
    Failure::configuration(format!("--compare: {error}"))
}

fn read_peers(path: &Path, unit: Unit) -> Result<Peers, Failure> {
    let origin = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::configuration(format!("--peers {origin}: {error}")))?;
    let valid: Vec<_> = rows::all().map(|(_, row)| row.name).collect();
    let peers = peers::parse(&text, &origin, &valid)
        .map_err(|error| Failure::configuration(format!("--peers: {error}")))?;
    if peers.in_unit(unit).next().is_none() {
        notice(&format!(
            "--peers {origin}: no figure in it is in this run's unit, so there is no column of it"
        ));
    }
    Ok(peers)
}
