//! The table for a terminal, with what a reader needs to judge it below.

mod cell;
mod fit;

pub(super) use cell::odd_exits;

use super::column::{self, Column};
use super::findings;
use super::notes::Notes;
use super::number;
use super::peers::{Peer, Peers};
use super::ways;
use crate::bench::result::{Answer, Results, RowResult, Unit};
use comfy_table::{Cell, CellAlignment, Row, Table, TableComponent, presets};
use fit::Shown;
use std::fmt::Write;

/// The run as a table for a terminal that is `width` characters wide, then the footnotes, whether
/// the run was steady, and the findings. Columns for which the terminal is too narrow are left
/// out, and named.
pub fn render(results: &Results, peers: Option<&Peers>, width: usize) -> String {
    let peers: Vec<_> = peers
        .into_iter()
        .flat_map(|peers| peers.in_unit(results.unit))
        .collect();
    let (columns, left_out) = fit::choose(results, &peers, width);
    let mut notes = Notes::default();
    let table = build(results, &columns, width, &mut notes);

    let mut text = String::new();
    paragraph(&mut text, width, &introduction(results));
    text.push('\n');
    text.push_str(&lines(&table));
    text.push('\n');
    footnotes(&mut text, results, &notes, width);
    for (column, reasons) in Column::empty(results) {
        let [what, which] = column.heading();
        let reasons = reasons.join("; ");
        paragraph(
            &mut text,
            width,
            &format!("Not measured: {what} {which}: {reasons}."),
        );
    }
    for peer in shown_peers(&columns) {
        let Peer {
            name, host, source, ..
        } = peer;
        paragraph(
            &mut text,
            width,
            &format!("{name} was measured on {host}; from {source}."),
        );
    }
    if !left_out.is_empty() {
        let names: Vec<_> = left_out.iter().map(Shown::name).collect();
        let names = names.join(", ");
        paragraph(
            &mut text,
            width,
            &format!("For want of width not shown: {names}."),
        );
    }
    text.push('\n');
    verdict(&mut text, width, results);
    let findings = findings::findings(results);
    if !findings.is_empty() {
        text.push_str("\nWhat it says:\n");
        for finding in findings {
            item(&mut text, width, "- ", &finding);
        }
    }
    text
}

fn introduction(results: &Results) -> String {
    let from = &results.provenance;
    let what = match results.unit {
        Unit::Nanoseconds => "Median cost of one operation",
        Unit::Instructions => {
            "Median cost of one operation, in instructions of kernel, VMM and guest together"
        }
    };
    format!("{what}, on {} with Linux {}.", from.cpu, from.kernel)
}

fn build(results: &Results, columns: &[Shown<'_>], width: usize, notes: &mut Notes) -> Table {
    // A long title goes on in the next line, so that it costs no column.
    let titles = (width * 3 / 10).clamp(18, 46);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '─');
    table.set_header(columns.iter().map(|column| {
        let [first, second] = column.heading();
        aligned(*column, format!("{first}\n{second}"))
    }));
    for (index, (group, rows)) in column::groups(results).into_iter().enumerate() {
        if index > 0 {
            table.add_row([""]);
        }
        table.add_row([group]);
        for row in rows {
            table.add_row(cells(results, row, columns, titles, notes));
        }
    }
    for (index, _) in columns.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            // Two spaces between columns; none before the first.
            column.set_padding((0, 2));
        }
    }
    table
}

fn cells(
    results: &Results,
    row: &RowResult,
    columns: &[Shown<'_>],
    titles: usize,
    notes: &mut Notes,
) -> Row {
    let cells = columns.iter().map(|column| {
        let text = match column {
            Shown::Title => {
                let mut title = String::new();
                item(&mut title, titles, "  ", &row.title);
                title.trim_end().to_string()
            }
            Shown::Cost(cost) => match cost.cell(row) {
                Some(cell) => cell::text(cell, results.unit, notes),
                None => String::new(),
            },
            Shown::Peer(peer) => match peer.cost(&row.name) {
                Some(value) => number::cost(value, results.unit),
                None => String::new(),
            },
            Shown::ReplacedBy => row.replaced_by.clone(),
        };
        aligned(*column, text)
    });
    cells.collect::<Vec<_>>().into()
}

fn aligned(column: Shown<'_>, text: String) -> Cell {
    Cell::new(text).set_alignment(match column {
        Shown::Title | Shown::ReplacedBy => CellAlignment::Left,
        Shown::Cost(_) | Shown::Peer(_) => CellAlignment::Right,
    })
}

fn lines(table: &Table) -> String {
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn shown_peers<'a>(columns: &'a [Shown<'a>]) -> impl Iterator<Item = &'a Peer> {
    columns.iter().filter_map(|column| match column {
        Shown::Peer(peer) => Some(*peer),
        _ => None,
    })
}

fn footnotes(text: &mut String, results: &Results, notes: &Notes, width: usize) {
    for (number, note) in notes.iter() {
        item(text, width, &format!("[{number}] "), note);
    }
    let cells = || results.rows.iter().flat_map(|row| &row.cells);
    let mut measured = cells().filter_map(ways::measured);
    if let Some(odd) = measured.find_map(|measurement| odd_exits(&measurement.exits)) {
        let (exits, expected) = &odd;
        paragraph(
            text,
            width,
            &format!(
                "{exits}/{expected}x: {exits} exits for each operation, where this host should \
                 have {expected}."
            ),
        );
    }
    let mut measured = cells().filter_map(ways::measured);
    if measured.any(|measurement| measurement.answer == Answer::Wrong) {
        paragraph(
            text,
            width,
            "wrong, silently: the instruction neither trapped nor did what it does on a machine \
             of one's own.",
        );
    }
}

/// What can be said about how steady a run was.
fn verdict(text: &mut String, width: usize, results: &Results) {
    let stability = &results.stability;
    if !results.complete {
        paragraph(
            text,
            width,
            "The run was interrupted: what it had not come to is missing.",
        );
    }
    let verdict = match stability.noisy {
        true => "The run was noisy: small differences mean nothing.",
        false => "The run was steady.",
    };
    paragraph(text, width, verdict);
    for reason in &stability.reasons {
        item(text, width, "- ", reason);
    }
}

fn paragraph(text: &mut String, width: usize, words: &str) {
    item(text, width, "", words);
}

/// Words with `bullet` before the first line and as much space before the others, each no wider
/// than the terminal where its words allow that.
fn item(text: &mut String, width: usize, bullet: &str, words: &str) {
    let indent = " ".repeat(bullet.len());
    let mut line = bullet.to_string();
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(text, "{line}");
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;
    use crate::bench::result::Outcome;

    const WIDE: usize = 200;

    fn line_of<'a>(text: &'a str, title: &str) -> &'a str {
        text.lines()
            .find(|line| line.trim_start().starts_with(title))
            .unwrap_or_else(|| panic!("no line {title}:\n{text}"))
    }

    /// The words of a line, where columns are at least two spaces apart.
    fn columns_of(line: &str) -> Vec<&str> {
        line.split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect()
    }

    #[test]
    fn a_row_has_the_median_of_each_way() {
        let text = render(&fixture::results(), None, WIDE);
        assert_eq!(
            columns_of(line_of(&text, "RDTSC")),
            [
                "RDTSC",
                "17.2 ns",
                "36.0 us",
                "2.24 us",
                "38.6 us",
                "20.0 ns",
                "21.0 ns",
                "clock page"
            ]
        );
    }

    #[test]
    fn the_floor_comes_first_under_the_columns_of_its_modes() {
        let text = render(&fixture::results(), None, WIDE);
        let titles: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("  ") && line.contains(" us"))
            .collect();
        assert_eq!(
            columns_of(titles[0]),
            ["the smallest exit", "2.00 us", "35.0 us"]
        );
        let end = |line: &str, word: &str| line.find(word).unwrap() + word.len();
        let noop = line_of(&text, "a call that does nothing");
        assert_eq!(end(titles[0], "2.00 us"), end(noop, "2.20 us"));
        assert_eq!(end(titles[0], "35.0 us"), end(noop, "38.5 us"));
    }

    #[test]
    fn one_in_a_batch_of_64_has_a_column() {
        let text = render(&fixture::results(), None, WIDE);
        assert!(line_of(&text, "native").contains("64 in a batch"), "{text}");
        // 2300 / 64 + 40.
        assert!(line_of(&text, "a call that does nothing").contains("75.9 ns"));
    }

    #[test]
    fn a_mark_has_a_footnote_and_odd_exits_are_counted() {
        let text = render(&fixture::results(), None, WIDE);
        let row = line_of(&text, "MOV to CR3");
        let (before, _) = row.split_once(" 82.0 us").expect("the median is last");
        let (before, mark) = before.rsplit_once(" !").expect("a mark is before it");
        assert!(before.ends_with("2/1x"), "{row}");
        assert!(
            text.contains(&format!("\n[{mark}] {}\n", fixture::MARK)),
            "{text}"
        );
        assert!(text.contains("2/1x: 2 exits for each operation"), "{text}");
    }

    #[test]
    fn what_cannot_be_had_has_a_footnote_that_it_shares() {
        let text = render(&fixture::results(), None, WIDE);
        let reasons = text.matches(fixture::NO_INSTRUCTION).count();
        assert_eq!(reasons, 1, "{text}");
        let (number, _) = text
            .split_once(&format!("] {}", fixture::NO_INSTRUCTION))
            .map(|(before, after)| (before.rsplit('[').next().unwrap(), after))
            .unwrap();
        assert_eq!(
            columns_of(line_of(&text, "a call that does nothing"))[1..3],
            [format!("-[{number}]"), format!("-[{number}]")]
        );
    }

    #[test]
    fn a_wrong_answer_is_no_cost() {
        let text = render(&fixture::results(), None, WIDE);
        let row = line_of(&text, "SGDT");
        assert!(row.contains("wrong, silently"), "{row}");
        assert!(!row.contains("11.0 ns"), "{row}");
        assert!(text.contains("neither trapped nor did"), "{text}");
    }

    #[test]
    fn a_steady_run_explains_nothing_that_it_does_not_show() {
        let mut results = fixture::results();
        results.stability.noisy = false;
        results.stability.reasons.clear();
        results
            .rows
            .retain(|row| row.name == "floor" || row.name == "rdtsc");
        let text = render(&results, None, WIDE);
        assert!(text.contains("\nThe run was steady.\n"), "{text}");
        for absent in ["exits for", "wrong", "[1]", "Not measured", "want of width"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
    }

    #[test]
    fn noise_and_an_interruption_are_said() {
        let mut results = fixture::results();
        results.complete = false;
        let text = render(&results, None, WIDE);
        assert!(text.contains("The run was noisy"), "{text}");
        assert!(text.contains(fixture::NOISE), "{text}");
        assert!(text.contains("The run was interrupted"), "{text}");
    }

    #[test]
    fn only_a_peer_in_the_same_unit_has_a_column() {
        let peers = fixture::peers();
        let text = render(&fixture::results(), Some(&peers), WIDE);
        assert!(line_of(&text, "RDTSC").contains("33.0 us"), "{text}");
        assert!(
            text.contains("Solo5 hvt was measured on the <same> host"),
            "{text}"
        );
        assert!(!text.contains("Counted"), "{text}");
    }

    #[test]
    fn a_column_without_any_figure_becomes_a_line() {
        let mut results = fixture::results();
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if Column::of(cell.way) == Some(Column::Native) {
                cell.outcome = Outcome::Absent {
                    reason: "this KVM interprets CPL 0".to_string(),
                };
            }
        }
        let text = render(&results, None, WIDE);
        assert!(
            text.contains("Not measured: native CPL 0: this KVM interprets CPL 0."),
            "{text}"
        );
        assert_eq!(columns_of(line_of(&text, "RDTSC"))[1], "36.0 us");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let results = fixture::results();
        let peers = fixture::peers();
        for width in [50, 60, 72, 80, 100, 120, 160] {
            let text = render(&results, Some(&peers), width);
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {line}\n{text}");
            }
        }
    }

    #[test]
    fn a_narrow_terminal_keeps_the_instruction_and_the_call_of_the_automatic_mode() {
        let text = render(&fixture::results(), Some(&fixture::peers()), 80);
        let row = line_of(&text, "RDTSC");
        assert!(row.contains("36.0 us") && row.contains("2.24 us"), "{row}");
        assert!(!row.contains("clock page"), "{row}");
        let (_, left_out) = text.split_once("For want of width not shown:").unwrap();
        assert!(left_out.contains("replaced by"), "{left_out}");
    }
}
