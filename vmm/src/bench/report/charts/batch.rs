//! What a call costs in batches of each size.

use super::canvas::{self, Entry, TITLE};
use crate::bench::report::ways::Colour;
use crate::bench::report::{number, ways};
use crate::bench::result::{Results, RowResult, Way};
use crate::carrier::{Carrier, Privilege};
use plotters::prelude::*;

/// Height of the chart below its legend.
const BODY: u32 = 320;

/// The batches of a mode.
struct Curve {
    mode: String,
    colour: Colour,
    /// Size and cost of a call, ascending.
    points: Vec<(f64, f64)>,
    /// A call alone.
    single: Option<f64>,
}

/// What a call of this row costs in batches, a curve for each mode, and dashed a call alone.
pub fn row(results: &Results, row: &RowResult) -> Option<String> {
    let curves = curves(row);
    let largest = curves
        .iter()
        .filter_map(|curve| curve.points.last())
        .map(|(size, _)| *size)
        .reduce(f64::max)?;
    let unit = results.unit;
    let entries: Vec<_> = curves.iter().flat_map(entries).collect();
    let top = TITLE + canvas::legend_height(&entries);
    let title = format!("{}: calls in one exit", row.title);
    let ends: Vec<_> = curves.iter().map(|curve| describe(curve, unit)).collect();
    let label = format!("Line chart: {title}. {}.", ends.join("; "));
    Some(canvas::draw(top + BODY, &label, |area| {
        canvas::title(area, &title)?;
        canvas::legend(area, &entries)?;
        let costs = curves.iter().flat_map(|curve| {
            let points = curve.points.iter().map(|(_, cost)| *cost);
            points.chain(curve.single)
        });
        let sizes = 1.0..largest.max(2.0);
        let mut chart = ChartBuilder::on(area)
            .margin_top(top + 6)
            .margin_left(14)
            .margin_right(36)
            .x_label_area_size(48)
            .y_label_area_size(84)
            .build_cartesian_2d(
                sizes.clone().log_scale().base(2.0),
                canvas::decades(costs).log_scale(),
            )?;
        chart
            .configure_mesh()
            .bold_line_style(canvas::GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(canvas::GRID)
            .x_labels(16)
            .y_labels(8)
            .x_label_formatter(&|size| number::whole(*size))
            .y_label_formatter(&|value| number::tick(*value, unit))
            .label_style(canvas::font(11.0))
            .x_desc("calls in one exit, logarithmic")
            .y_desc(format!("median {}", canvas::axis(unit)))
            .axis_desc_style(canvas::font(11.0))
            .draw()?;
        for curve in &curves {
            let (red, green, blue) = curve.colour;
            let colour = RGBColor(red, green, blue);
            let points = curve.points.iter();
            let points = points.map(|(size, cost)| (*size, canvas::drawable(*cost)));
            let line = LineSeries::new(points.clone(), colour.stroke_width(2));
            chart.draw_series(line)?;
            chart.draw_series(points.map(|point| Circle::new(point, 3, colour.filled())))?;
            if let Some(single) = curve.single {
                let single = canvas::drawable(single);
                let ends = [(sizes.start, single), (sizes.end, single)];
                let line = DashedLineSeries::new(ends, 6, 5, colour.stroke_width(1));
                chart.draw_series(line)?;
            }
        }
        Ok(())
    }))
}

fn curves(row: &RowResult) -> Vec<Curve> {
    let mut modes: Vec<(Privilege, Carrier)> = Vec::new();
    for cell in &row.cells {
        if let Way::Batch {
            privilege, carrier, ..
        } = cell.way
            && !modes.contains(&(privilege, carrier))
        {
            modes.push((privilege, carrier));
        }
    }
    let curves = modes.into_iter().map(|(privilege, carrier)| {
        let hypercall = Way::Hypercall { privilege, carrier };
        let mut points: Vec<_> = row
            .cells
            .iter()
            .filter_map(|cell| match cell.way {
                Way::Batch {
                    privilege: at,
                    carrier: by,
                    size,
                } if (at, by) == (privilege, carrier) => {
                    Some((f64::from(size), ways::measured(cell)?.spread.p50))
                }
                _ => None,
            })
            .collect();
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Curve {
            mode: format!("{privilege}/{carrier}"),
            colour: ways::colour(hypercall),
            points,
            single: ways::measurement(row, hypercall).map(|single| single.spread.p50),
        }
    });
    curves.filter(|curve| !curve.points.is_empty()).collect()
}

fn entries(curve: &Curve) -> Vec<Entry> {
    let entry = |text, dashed| Entry {
        text,
        colour: curve.colour,
        dashed,
    };
    let mut entries = vec![entry(format!("batched by {}", curve.mode), false)];
    if curve.single.is_some() {
        entries.push(entry(format!("alone by {}", curve.mode), true));
    }
    entries
}

/// The ends of a curve in words.
fn describe(curve: &Curve, unit: crate::bench::result::Unit) -> String {
    let spoken = |value| number::spoken(value, unit);
    let mut words = vec![format!("by {}", curve.mode)];
    words.extend(
        curve
            .single
            .map(|single| format!("alone {}", spoken(single))),
    );
    if let Some((size, cost)) = curve.points.last() {
        words.push(format!("{} each in a batch of {size}", spoken(*cost)));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn each_mode_has_a_curve_of_all_sizes_and_its_call_alone() {
        let results = fixture::results();
        let noop = results.rows.iter().find(|row| row.name == "noop").unwrap();
        let curves = curves(noop);
        assert_eq!(curves.len(), 2);
        assert_eq!(curves[1].mode, "ring3/pio");
        assert_eq!(curves[1].single, Some(38_500.0));
        let sizes: Vec<_> = curves[1].points.iter().map(|(size, _)| *size).collect();
        let all = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
        assert_eq!(sizes, all);
        let svg = row(&results, noop).unwrap();
        assert!(svg.contains("alone by ring3/pio"));
        assert!(svg.contains("115 ns each in a batch of 512"), "{svg}");
    }

    #[test]
    fn a_row_without_batches_has_no_curve() {
        let results = fixture::results();
        let rdtsc = results.rows.iter().find(|row| row.name == "rdtsc").unwrap();
        assert_eq!(row(&results, rdtsc), None);
    }
}
