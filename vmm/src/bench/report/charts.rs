//! Charts as SVG: bars for a group, the distributions of a row, and what batches save.
//!
//! They are drawn on white, so that they can be read on any background, and name their fonts
//! only by family, because nobody can measure the reader's.

pub mod bars;
pub mod batch;
mod canvas;
pub mod cdf;

use super::column;
use crate::bench::result::Results;

/// All charts of a run, each with the name of a file for it, without its ending.
pub fn all(results: &Results) -> Vec<(String, String)> {
    let mut charts = Vec::new();
    let mut add = |stem: String, svg: Option<String>| {
        if let Some(svg) = svg {
            charts.push((stem, svg));
        }
    };
    add("overview".to_string(), bars::overview(results));
    for (group, rows) in column::groups(results) {
        add(
            format!("group-{}", slug(group)),
            bars::group(results, group, &rows),
        );
        for row in rows {
            add(format!("cdf-{}", slug(&row.name)), cdf::row(results, row));
            add(
                format!("batch-{}", slug(&row.name)),
                batch::row(results, row),
            );
        }
    }
    charts
}

/// A name as a part of a file's name.
fn slug(name: &str) -> String {
    let characters = name.chars().map(|character| match character {
        'a'..='z' | '0'..='9' => character,
        'A'..='Z' => character.to_ascii_lowercase(),
        _ => '-',
    });
    characters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    fn stems() -> Vec<String> {
        let charts = all(&fixture::results());
        charts.into_iter().map(|(stem, _)| stem).collect()
    }

    #[test]
    fn each_group_and_row_has_its_charts() {
        assert_eq!(
            stems(),
            [
                "overview",
                "group-host",
                "cdf-floor",
                "group-calls",
                "cdf-noop",
                "batch-noop",
                "group-time",
                "cdf-rdtsc",
                "group-control-registers",
                "cdf-mov-to-cr3",
                "group-descriptor-tables",
                "cdf-sgdt",
                "group-tasks",
                "cdf-user-syscall",
            ]
        );
    }

    #[test]
    fn a_chart_is_a_complete_file_that_loads_nothing() {
        for (stem, svg) in all(&fixture::results()) {
            assert!(svg.starts_with("<svg role=\"img\" aria-label=\""), "{stem}");
            assert!(svg.trim_end().ends_with("</svg>"), "{stem}");
            let svg = svg.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
            assert!(!svg.contains("http"), "{stem}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{stem}");
        }
    }

    #[test]
    fn titles_are_escaped() {
        let charts = all(&fixture::results());
        let (_, svg) = charts.iter().find(|(stem, _)| stem == "cdf-sgdt").unwrap();
        assert!(svg.contains("SGDT &lt;of whom?&gt; &amp; "), "{svg}");
        assert!(!svg.contains("<of whom?>"), "{svg}");
    }

    #[test]
    fn a_row_without_figures_has_no_chart() {
        let mut results = fixture::results();
        for row in &mut results.rows {
            row.cells
                .retain(|cell| super::super::ways::measured(cell).is_none());
        }
        assert!(all(&results).is_empty());
    }

    #[test]
    fn costs_of_nothing_and_less_can_be_drawn() {
        let mut results = fixture::results();
        for cell in results.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if super::super::ways::measured(cell).is_some() {
                *cell = fixture::cell(cell.way, -1.0);
            }
        }
        for (stem, svg) in all(&results) {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{stem}");
        }
    }
}
