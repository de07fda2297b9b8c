//! What all charts share: paper, fonts, axes and the legend.

use crate::bench::report::ways::Colour;
use crate::bench::result::Unit;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// What a chart is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Why a chart cannot be drawn. On a string it always can.
pub type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// Width of all charts, in pixels.
pub const WIDTH: u32 = 860;
/// Space for the title.
pub const TITLE: u32 = 34;
/// Height of a line of the legend.
const LEGEND_LINE: u32 = 20;
/// The colour of text.
pub const INK: RGBColor = RGBColor(0x2b, 0x2f, 0x36);
/// The colour of lines across the chart.
pub const GRID: RGBColor = RGBColor(0xdd, 0xe0, 0xe4);
/// Lowest cost that is drawn: zero has no place on a logarithmic axis.
const LEAST: f64 = 0.1;

/// An entry of the legend.
#[derive(Debug)]
pub struct Entry {
    /// What it says.
    pub text: String,
    /// The colour that it explains.
    pub colour: Colour,
    /// Whether it is drawn as a dashed line.
    pub dashed: bool,
}

/// Draws a chart `height` pixels high. `label` describes it to those who do not see it.
pub fn draw(
    height: u32,
    label: &str,
    paint: impl FnOnce(&Area<'_>) -> Result<(), DrawError>,
) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)
            .and_then(|()| paint(&area))
            .and_then(|()| area.present())
            .expect("a string can be drawn to");
    }
    let label = label
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let svg = svg.replacen(
        "<svg ",
        &format!("<svg role=\"img\" aria-label=\"{label}\" "),
        1,
    );
    format!("{}\n", svg.trim())
}

/// Text `pixels` high.
pub fn font(pixels: f64) -> TextStyle<'static> {
    // The SVG backend divides by this.
    ("sans-serif", pixels * 1.24).into_font().color(&INK)
}

/// Text that is placed by the end of its line.
pub fn right(style: TextStyle<'_>) -> TextStyle<'_> {
    style.pos(Pos::new(HPos::Right, VPos::Center))
}

/// Text that is placed by the beginning of its line.
pub fn left(style: TextStyle<'_>) -> TextStyle<'_> {
    style.pos(Pos::new(HPos::Left, VPos::Center))
}

/// How wide a text is at most in a common font, in pixels.
pub fn text_width(text: &str, pixels: f64) -> u32 {
    (text.chars().count() as f64 * pixels * 0.58).ceil() as u32
}

/// Draws the title.
pub fn title(area: &Area<'_>, text: &str) -> Result<(), DrawError> {
    let bold = FontDesc::new(FontFamily::SansSerif, 15.0 * 1.24, FontStyle::Bold).color(&INK);
    area.draw(&Text::new(text.to_string(), (16, 19), left(bold)))
}

/// Height of the legend.
pub fn legend_height(entries: &[Entry]) -> u32 {
    places(entries).last().map_or(0, |(_, y)| y + LEGEND_LINE) + 6
}

/// Draws the legend below the title.
pub fn legend(area: &Area<'_>, entries: &[Entry]) -> Result<(), DrawError> {
    for (entry, (x, y)) in entries.iter().zip(places(entries)) {
        let (x, y) = (x as i32, (TITLE + y) as i32 + 10);
        let (red, green, blue) = entry.colour;
        let colour = RGBColor(red, green, blue);
        if entry.dashed {
            for start in [x, x + 8] {
                let dash = vec![(start, y), (start + 5, y)];
                area.draw(&PathElement::new(dash, colour.stroke_width(2)))?;
            }
        } else {
            let swatch = [(x, y - 5), (x + 13, y + 6)];
            area.draw(&Rectangle::new(swatch, colour.filled()))?;
        }
        area.draw(&Text::new(
            entry.text.clone(),
            (x + 19, y),
            left(font(12.0)),
        ))?;
    }
    Ok(())
}

/// Where each entry begins. Entries that a line has no room for go on in the next.
fn places(entries: &[Entry]) -> Vec<(u32, u32)> {
    let (mut x, mut y) = (16, 0);
    entries
        .iter()
        .map(|entry| {
            let width = 19 + text_width(&entry.text, 12.0) + 16;
            if x > 16 && x + width > WIDTH {
                x = 16;
                y += LEGEND_LINE;
            }
            let place = (x, y);
            x += width;
            place
        })
        .collect()
}

/// The powers of ten around all costs.
pub fn decades(costs: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = costs.fold((f64::INFINITY, LEAST), |(low, high), cost| {
        (low.min(drawable(cost)), high.max(drawable(cost)))
    });
    let low = 10f64.powf(low.min(high).log10().floor());
    let high = 10f64.powf(high.log10().ceil());
    low..high.max(low * 10.0)
}

/// A cost that has a place on a logarithmic axis.
pub fn drawable(cost: f64) -> f64 {
    cost.max(LEAST)
}

/// What stands at an axis of costs.
pub fn axis(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "time of one operation",
        Unit::Instructions => "instructions of one operation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_spans_whole_decades() {
        assert_eq!(decades([17.0, 82_000.0].into_iter()), 10.0..100_000.0);
        assert_eq!(decades([10.0].into_iter()), 10.0..100.0);
    }

    #[test]
    fn a_legend_that_is_too_long_has_a_second_line() {
        let entry = || Entry {
            text: "hypercall ring0/vmcall".to_string(),
            colour: (0, 0, 0),
            dashed: false,
        };
        let entries: Vec<_> = (0..6).map(|_| entry()).collect();
        assert!(legend_height(&entries) > legend_height(&entries[..2]));
        let widest = places(&entries).into_iter().map(|(x, _)| x).max();
        assert!(widest.unwrap() + 19 + text_width("hypercall ring0/vmcall", 12.0) <= WIDTH);
    }
}
