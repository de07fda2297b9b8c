//! A comparison for a terminal.

use super::{Change, Comparison, Run, Verdict};
use crate::bench::report::{number, ways};
use crate::bench::result::Answer;
use comfy_table::{Cell, CellAlignment, Table, TableComponent, presets};
use std::fmt::Write;

/// Says which runs are compared and in what their hosts differ, then what changed, what only one
/// run has, and how much is the same.
pub fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (name, run) in [("old", &comparison.old), ("new", &comparison.new)] {
        let _ = writeln!(text, "{name}: {}", describe(run));
    }
    if !comparison.hosts.is_empty() {
        text.push_str("\nThe hosts differ, so what follows may be theirs:\n");
        for host in &comparison.hosts {
            let _ = writeln!(text, "  {}: {} -> {}", host.what, host.old, host.new);
        }
    }
    text.push('\n');
    let shown: Vec<_> = comparison
        .changes
        .iter()
        .filter(|change| change.verdict != Verdict::Same || change.answers().is_some())
        .collect();
    if !shown.is_empty() {
        text.push_str(&table(comparison, &shown));
        text.push('\n');
    }
    text.push_str(&summary(comparison));
    text
}

fn describe(run: &Run) -> String {
    let mut text = format!("{}, paravane {} ({})", run.date, run.paravane, run.commit);
    if !run.complete {
        text.push_str(", interrupted");
    }
    if run.noisy {
        text.push_str(", noisy: small differences mean nothing");
    }
    text
}

fn table(comparison: &Comparison, changes: &[&Change]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_style(TableComponent::HeaderLines, '─');
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let heading = ["old", "new", "new/old"].map(|name| right(name.to_string()));
    let [old, new, ratio] = heading;
    table.set_header(vec![
        Cell::new("row"),
        Cell::new("way"),
        old,
        new,
        ratio,
        Cell::new(""),
    ]);
    for change in changes {
        let cost = |figure: Option<super::Figure>| match figure {
            Some(figure) => number::cost(figure.p50, comparison.unit),
            None => "-".to_string(),
        };
        table.add_row(vec![
            Cell::new(&change.title),
            Cell::new(ways::label(change.way)),
            right(cost(change.old)),
            right(cost(change.new)),
            right(change.ratio.map(number::ratio).unwrap_or_default()),
            Cell::new(verdict(change)),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

fn verdict(change: &Change) -> String {
    let verdict = match change.verdict {
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::Same => "same",
        Verdict::OnlyOld => "only in the old run",
        Verdict::OnlyNew => "only in the new run",
    };
    match change.answers() {
        Some((_, Answer::Wrong)) => format!("{verdict}, and now wrong"),
        Some(_) => format!("{verdict}, and no longer wrong"),
        None => verdict.to_string(),
    }
}

fn summary(comparison: &Comparison) -> String {
    let summary = &comparison.summary;
    let mut text = format!(
        "{} faster, {} slower, {} the same",
        summary.faster, summary.slower, summary.same
    );
    for (count, run) in [(summary.only_old, "old"), (summary.only_new, "new")] {
        if count > 0 {
            let _ = write!(text, ", {count} only in the {run} run");
        }
    }
    text.push_str(".\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::compare::compare;
    use crate::bench::report::fixture;
    use crate::bench::result::{Results, Way};

    fn with_trap(cell: crate::bench::result::Cell) -> Results {
        let mut results = fixture::results();
        let row = results.rows.iter_mut().find(|row| row.name == "rdtsc");
        row.expect("there is one").cells[1] = cell;
        results
    }

    fn text(new: &Results) -> String {
        render(&compare(&fixture::results(), new).unwrap())
    }

    #[test]
    fn a_change_is_a_line_and_the_rest_is_counted() {
        let text = text(&with_trap(fixture::cell(Way::Trap, 18_000.0)));
        let line = text.lines().find(|line| line.starts_with("RDTSC")).unwrap();
        let words: Vec<_> = line.split("  ").map(str::trim).collect();
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        assert_eq!(
            words,
            ["RDTSC", "trap", "36.0 us", "18.0 us", "0.500", "faster"]
        );
        assert!(!text.contains("MOV to CR3"), "{text}");
        assert!(text.contains("1 faster, 0 slower, "), "{text}");
        assert!(
            text.starts_with("old: 2026-01-31T12:00:00Z, paravane 0.1.0 (0123456789ab), noisy")
        );
    }

    #[test]
    fn an_answer_that_is_wrong_now_is_told_at_the_same_cost() {
        let wrong = fixture::changed(Way::Trap, 36_000.0, |trap| trap.answer = Answer::Wrong);
        let text = text(&with_trap(wrong));
        assert!(text.contains("same, and now wrong"), "{text}");
    }

    #[test]
    fn hosts_that_differ_are_told_before_the_table() {
        let mut new = with_trap(fixture::cell(Way::Trap, 18_000.0));
        new.provenance.cpu = "Intel Xeon".to_string();
        let text = text(&new);
        let hosts = text.find("cpu: AMD EPYC <9B45> -> Intel Xeon");
        assert!(hosts.unwrap() < text.find("RDTSC").unwrap(), "{text}");
    }

    #[test]
    fn nothing_changed_is_one_sentence() {
        let text = text(&fixture::results());
        assert!(text.contains("0 faster, 0 slower, "), "{text}");
        assert!(!text.contains("new/old"), "{text}");
    }
}
