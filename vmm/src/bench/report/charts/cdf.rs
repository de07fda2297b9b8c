//! Distributions: which part of the samples cost at most so much.

use super::canvas::{self, Entry, TITLE};
use crate::bench::report::column::Column;
use crate::bench::report::{number, ways};
use crate::bench::result::{Measurement, Results, RowResult};
use plotters::prelude::*;

/// Height of the chart below its legend.
const BODY: u32 = 300;
/// Steps of a curve at most: more cannot be seen, and make the file large.
const STEPS: u64 = 200;

/// The distributions of a row, a curve for each way.
pub fn row(results: &Results, row: &RowResult) -> Option<String> {
    let curves: Vec<_> = row
        .cells
        .iter()
        .filter(|cell| Column::of(cell.way).is_some())
        .filter_map(|cell| Some((cell.way, ways::measured(cell)?)))
        .filter(|(_, measurement)| !measurement.histogram.is_empty())
        .collect();
    if curves.is_empty() {
        return None;
    }
    let unit = results.unit;
    let entries: Vec<_> = curves
        .iter()
        .map(|(way, _)| Entry {
            text: ways::label(*way),
            colour: ways::colour(*way),
            dashed: false,
        })
        .collect();
    let top = TITLE + canvas::legend_height(&entries);
    let title = format!("{}: cumulative distribution", row.title);
    let medians: Vec<_> = curves
        .iter()
        .map(|(way, measurement)| {
            let spread = &measurement.spread;
            format!(
                "{}: median {}, 99th percentile {}",
                ways::label(*way),
                number::spoken(spread.p50, unit),
                number::spoken(spread.p99, unit)
            )
        })
        .collect();
    let label = format!("Line chart: {title}. {}.", medians.join("; "));
    Some(canvas::draw(top + BODY, &label, |area| {
        canvas::title(area, &title)?;
        canvas::legend(area, &entries)?;
        let costs = curves.iter().flat_map(|(_, measurement)| {
            let values = measurement.histogram.iter();
            values.map(|(value, _)| *value)
        });
        let range = canvas::decades(costs);
        let mut chart = ChartBuilder::on(area)
            .margin_top(top + 6)
            .margin_left(14)
            .margin_right(36)
            .x_label_area_size(48)
            .y_label_area_size(64)
            .build_cartesian_2d(range.log_scale(), 0.0..1.0)?;
        chart
            .configure_mesh()
            .bold_line_style(canvas::GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(canvas::GRID)
            .x_labels(10)
            .y_labels(6)
            .x_label_formatter(&|value| number::tick(*value, unit))
            .y_label_formatter(&|part| format!("{:.0}%", part * 100.0))
            .label_style(canvas::font(11.0))
            .x_desc(format!("{}, logarithmic", canvas::axis(unit)))
            .y_desc("samples that cost at most this")
            .axis_desc_style(canvas::font(11.0))
            .draw()?;
        for (way, measurement) in &curves {
            let (red, green, blue) = ways::colour(*way);
            let style = RGBColor(red, green, blue).stroke_width(2);
            chart.draw_series(LineSeries::new(curve(measurement), style))?;
        }
        Ok(())
    }))
}

/// The corners of a distribution's curve.
fn curve(measurement: &Measurement) -> Vec<(f64, f64)> {
    let total: u64 = measurement.histogram.iter().map(|(_, count)| count).sum();
    let mut corners = Vec::new();
    let (mut seen, mut drawn) = (0, 0);
    let last = measurement.histogram.len() - 1;
    for (index, (value, count)) in measurement.histogram.iter().enumerate() {
        seen += count;
        // What is less than a step is drawn with what follows.
        if index != 0 && index != last && (seen - drawn) * STEPS < total {
            continue;
        }
        let value = canvas::drawable(*value);
        corners.push((value, drawn as f64 / total as f64));
        corners.push((value, seen as f64 / total as f64));
        drawn = seen;
    }
    corners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn a_curve_begins_at_nothing_and_ends_at_all() {
        let curve = curve(&fixture::measurement(1_000.0));
        assert_eq!(curve.first(), Some(&(900.0, 0.0)));
        assert_eq!(curve.last(), Some(&(10_000.0, 1.0)));
        assert!(curve.contains(&(1_000.0, 0.8)), "{curve:?}");
        assert!(curve.is_sorted());
    }

    #[test]
    fn a_long_histogram_becomes_a_short_curve_with_its_ends() {
        let mut measurement = fixture::measurement(1.0);
        measurement.histogram = (1..=10_000).map(|value| (f64::from(value), 1)).collect();
        let curve = curve(&measurement);
        assert!(curve.len() < 3 * STEPS as usize, "{}", curve.len());
        assert_eq!(curve[0].0, 1.0);
        assert!(curve.contains(&(10_000.0, 1.0)));
    }

    #[test]
    fn each_way_has_a_name_and_batches_only_the_size_of_tables() {
        let results = fixture::results();
        let noop = results.rows.iter().find(|row| row.name == "noop").unwrap();
        let svg = row(&results, noop).unwrap();
        assert!(svg.contains("hypercall ring0/vmcall"));
        assert!(svg.contains("batch of 64 ring0/vmcall"));
        assert!(!svg.contains("batch of 128"));
    }
}
