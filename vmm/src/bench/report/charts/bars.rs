//! Bars: the medians of several rows, the ways side by side.

use super::canvas::{self, Area, DrawError, Entry, INK, TITLE, WIDTH};
use crate::bench::report::column::Column;
use crate::bench::report::findings::{FLOOR, NOOP};
use crate::bench::report::{number, ways};
use crate::bench::result::{Answer, Results, RowResult, Unit, Way};
use plotters::prelude::*;

/// Height of a bar, and of it with the space to the next.
const BAR: i32 = 11;
const STEP: i32 = 14;
/// Space between rows.
const GAP: i32 = 12;
/// Height of the axis with its labels and its name.
const AXIS: u32 = 42;
/// Space for the figure after the longest bar.
const FIGURE: u32 = 78;
/// How many rows the overview has.
const ROWS: usize = 12;
/// Those that it begins with, by name.
const FIRST: [&str; 2] = [FLOOR, NOOP];

/// A bar.
struct Bar {
    way: Way,
    p50: f64,
    wrong: bool,
}

/// The bars of a row.
struct Bars<'a> {
    title: &'a str,
    bars: Vec<Bar>,
}

/// All rows of a group.
pub fn group(results: &Results, group: &str, rows: &[&RowResult]) -> Option<String> {
    let rows = rows.iter().map(|row| bars(row, |_| true)).collect();
    chart(&capitalized(group), rows, results.unit)
}

/// The floor, the call that does nothing, and the trapped rows that can be had in most ways, in the
/// mode that a guest would get.
pub fn overview(results: &Results) -> Option<String> {
    let automatic = &results.provenance.automatic;
    let in_mode = |column: Column| column.is_of(automatic);
    let mut rows: Vec<_> = results.rows.iter().enumerate().collect();
    let first = |row: &RowResult| FIRST.iter().position(|name| *name == row.name);
    rows.retain(|(_, row)| {
        let trap = ways::measurement(row, Way::Trap);
        let replaced = trap.is_some_and(|trap| trap.answer != Answer::Wrong)
            && bars(row, in_mode).bars.len() > 1;
        first(row).is_some() || replaced
    });
    let place = |row| first(row).unwrap_or(FIRST.len());
    let ways = |row| usize::MAX - bars(row, in_mode).bars.len();
    rows.sort_by_key(|(index, row)| (place(row), ways(row), *index));
    rows.truncate(ROWS);
    rows.sort_by_key(|(index, row)| (place(row), *index));
    let rows = rows
        .into_iter()
        .map(|(_, row)| bars(row, in_mode))
        .collect();
    chart(
        "Calls, instructions, and what replaces them",
        rows,
        results.unit,
    )
}

fn bars(row: &RowResult, shown: impl Fn(Column) -> bool) -> Bars<'_> {
    let cells = row.cells.iter().filter_map(|cell| {
        let measurement = ways::measured(cell)?;
        Column::of(cell.way).filter(|column| shown(*column))?;
        Some(Bar {
            way: cell.way,
            p50: measurement.spread.p50,
            wrong: measurement.answer == Answer::Wrong,
        })
    });
    Bars {
        title: &row.title,
        bars: cells.collect(),
    }
}

fn chart(title: &str, mut rows: Vec<Bars<'_>>, unit: Unit) -> Option<String> {
    rows.retain(|row| !row.bars.is_empty());
    if rows.is_empty() {
        return None;
    }
    let entries = legend(&rows);
    let top = TITLE + canvas::legend_height(&entries);
    let body: i32 = rows
        .iter()
        .map(|row| row.bars.len() as i32 * STEP + GAP)
        .sum();
    let height = top + body as u32 + AXIS;
    let label = describe(title, &rows, unit);
    Some(canvas::draw(height, &label, |area| {
        canvas::title(area, title)?;
        canvas::legend(area, &entries)?;
        paint(area, &rows, top, body, unit)
    }))
}

fn paint(
    area: &Area<'_>,
    rows: &[Bars<'_>],
    top: u32,
    body: i32,
    unit: Unit,
) -> Result<(), DrawError> {
    let costs = rows.iter().flat_map(|row| &row.bars).map(|bar| bar.p50);
    let range = canvas::decades(costs);
    let titles = rows.iter().map(|row| canvas::text_width(row.title, 12.0));
    let titles = titles.max().unwrap_or_default().min(WIDTH / 3) + 28;
    let mut chart = ChartBuilder::on(area)
        .margin_top(top)
        .margin_left(titles)
        .margin_right(FIGURE)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(range.clone().log_scale(), body..0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .bold_line_style(canvas::GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(canvas::GRID)
        .x_labels(10)
        .x_label_formatter(&|value| number::tick(*value, unit))
        .label_style(canvas::font(11.0))
        .x_desc(format!("median {}, logarithmic", canvas::axis(unit)))
        .axis_desc_style(canvas::font(11.0))
        .draw()?;
    let mut y = GAP / 2;
    for row in rows {
        let middle = y + (row.bars.len() as i32 * STEP) / 2;
        let (x, place) = chart.backend_coord(&(range.start, middle));
        let title = cut(row.title, WIDTH / 3);
        area.draw(&Text::new(
            title,
            (x - 10, place),
            canvas::right(canvas::font(12.0)),
        ))?;
        for bar in &row.bars {
            let (red, green, blue) = ways::colour(bar.way);
            let colour = RGBColor(red, green, blue);
            let end = canvas::drawable(bar.p50);
            let (left, upper) = chart.backend_coord(&(range.start, y));
            let (right, _) = chart.backend_coord(&(end, y));
            let corners = [(left, upper), (right.max(left + 2), upper + BAR)];
            // What answers wrongly is hollow: it costs that, but it is not done.
            let style = match bar.wrong {
                true => colour.stroke_width(1),
                false => colour.filled(),
            };
            area.draw(&Rectangle::new(corners, style))?;
            let mut figure = number::cost(bar.p50, unit);
            if bar.wrong {
                figure.push_str(", wrong");
            }
            let style = canvas::left(canvas::font(10.5)).color(&INK);
            let place = (right.max(left + 2) + 5, upper + BAR / 2 + 1);
            area.draw(&Text::new(figure, place, style))?;
            y += STEP;
        }
        y += GAP;
    }
    Ok(())
}

fn legend(rows: &[Bars<'_>]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for bar in rows.iter().flat_map(|row| &row.bars) {
        let text = ways::label(bar.way);
        if entries.iter().all(|entry| entry.text != text) {
            entries.push(Entry {
                text,
                colour: ways::colour(bar.way),
                dashed: false,
            });
        }
    }
    entries
}

/// The figures in words.
fn describe(title: &str, rows: &[Bars<'_>], unit: Unit) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let bars = row.bars.iter();
            let bars: Vec<_> = bars
                .map(|bar| format!("{} {}", ways::label(bar.way), number::spoken(bar.p50, unit)))
                .collect();
            format!("{}: {}", row.title, bars.join(", "))
        })
        .collect();
    format!("Bar chart: {title}. {}.", rows.join("; "))
}

fn cut(title: &str, width: u32) -> String {
    let mut characters: Vec<_> = title.chars().collect();
    if canvas::text_width(title, 12.0) <= width {
        return title.to_string();
    }
    while canvas::text_width(&characters.iter().collect::<String>(), 12.0) >= width {
        characters.pop();
    }
    format!("{}…", characters.into_iter().collect::<String>())
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    #[test]
    fn the_overview_has_the_automatic_mode_and_what_can_be_trapped() {
        let svg = overview(&fixture::results()).unwrap();
        let place = |text| svg.rfind(text).unwrap_or_else(|| panic!("{text}: {svg}"));
        let titles = [
            "the smallest exit",
            "a call that does nothing",
            "RDTSC",
            "MOV to CR3",
        ];
        assert!(titles.map(place).is_sorted());
        assert!(svg.contains("hypercall ring0/vmcall"));
        assert!(!svg.contains("ring3"));
        assert!(!svg.contains("SGDT"), "a wrong answer is no alternative");
    }

    #[test]
    fn every_figure_stands_at_its_bar_and_in_the_description() {
        let results = fixture::results();
        let row = results.rows.iter().find(|row| row.name == "rdtsc").unwrap();
        let svg = group(&results, "time", &[row]).unwrap();
        assert!(svg.contains("aria-label=\"Bar chart: Time. RDTSC: native 17.2 ns, trap 36.0 us"));
        // Once in the description, once at the bar.
        assert_eq!(svg.matches("36.0 us").count(), 2);
    }

    #[test]
    fn a_wrong_answer_is_said_at_its_bar() {
        let results = fixture::results();
        let row = results.rows.iter().find(|row| row.name == "sgdt").unwrap();
        let svg = group(&results, "descriptor tables", &[row]).unwrap();
        assert!(svg.contains("11.0 ns, wrong"));
        assert!(!svg.contains("9.00 ns, wrong"));
    }

    #[test]
    fn a_long_title_is_cut() {
        assert_eq!(cut("RDTSC", 200), "RDTSC");
        let long = "x".repeat(100);
        let cut = cut(&long, 200);
        assert!(cut.ends_with('…') && canvas::text_width(&cut, 12.0) <= 210);
    }
}
