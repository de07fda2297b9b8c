//! Tables for people.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// A column's heading, and whether it has figures.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// A column of texts.
    Text(&'static str),
    /// A column of figures, to the right.
    Figure(&'static str),
}

impl Column {
    fn cell(self, text: &str) -> Cell {
        Cell::new(text).set_alignment(match self {
            Self::Text(_) => CellAlignment::Left,
            Self::Figure(_) => CellAlignment::Right,
        })
    }
}

/// A table, with an end of line after each row.
pub fn render<const N: usize>(columns: [Column; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(columns.iter().map(|column| {
        let (Column::Text(title) | Column::Figure(title)) = column;
        column.cell(title)
    }));
    for row in rows {
        let cells = columns.iter().zip(row);
        table.add_row(cells.map(|(column, text)| column.cell(text)));
    }
    for column in table.column_iter_mut() {
        // Two spaces between columns; none before the first.
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let columns = [Column::Text("NAME"), Column::Figure("VCPUS")];
        let row = |name: &str, vcpus: &str| [name.to_string(), vcpus.to_string()];
        let text = render(columns, &[row("a", "1"), row("longer", "64")]);
        assert_eq!(text, "NAME    VCPUS\na           1\nlonger     64\n");
    }

    #[test]
    fn no_rows_leave_the_heading() {
        assert_eq!(render([Column::Text("NAME")], &[]), "NAME\n");
    }
}
