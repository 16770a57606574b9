//! Tables that fit a terminal.

use std::io::{self, IsTerminal};

use crate::views::output::any_columns;

/// A column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// Right-aligned if it begins with a space.
    pub(crate) title: String,
    pub(crate) cells: Vec<String>,
    /// Where the table is too wide, columns of the lowest rank are left out first; those of [`KEPT`] never are.
    pub(crate) rank: u8,
}

/// The rank of columns without which rows cannot be told apart.
pub(crate) const KEPT: u8 = u8::MAX;

impl Column {
    pub(crate) fn new(title: &str, rank: u8, cells: impl IntoIterator<Item = String>) -> Self {
        Self { title: title.to_owned(), cells: cells.into_iter().collect(), rank }
    }

    /// Whether no row has anything in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.iter().all(String::is_empty)
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.chars().count());
        cells.chain([self.title.trim_start().chars().count()]).max().unwrap_or_default()
    }
}

/// Columns to print on: `COLUMNS`, else those of the terminal. `None` where output is not read on a terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let found = || io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    stated.or_else(|| found().map(|(terminal_size::Width(width), _)| usize::from(width)))
}

/// A table without its empty columns, and without those that do not fit into `width`: their titles are named beneath.
pub(crate) fn fitted(columns: Vec<Column>, width: Option<usize>) -> String {
    let mut columns: Vec<Column> =
        columns.into_iter().filter(|column| column.rank == KEPT || !column.is_empty()).collect();
    let total = |columns: &[Column]| columns.iter().map(|column| column.width() + 2).sum::<usize>().saturating_sub(2);
    let mut left_out: Vec<String> = Vec::new();
    while width.is_some_and(|width| total(&columns) > width) {
        let least = columns.iter().enumerate().filter(|(_, column)| column.rank < KEPT).min_by_key(|(_, it)| it.rank);
        let Some((place, _)) = least else { break };
        left_out.push(columns.remove(place).title.trim_start().to_owned());
    }
    let titles: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let row = |row: usize| columns.iter().map(|column| column.cells[row].clone()).collect::<Vec<_>>();
    let mut text = any_columns(&titles, &(0..rows).map(row).collect::<Vec<_>>());
    if !left_out.is_empty() {
        text.push_str(&vocabulary::text::wrapped(&format!("(too narrow for: {})", left_out.join(", ")), 1));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let column = |title, rank, cells: [&str; 2]| Column::new(title, rank, cells.map(str::to_owned));
        vec![
            column("name", KEPT, ["a", "b"]),
            column("worker", 1, ["local-1", "local-2"]),
            column(" loss", 2, ["2.5", "diverged"]),
            column("nothing", 3, ["", ""]),
        ]
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_rank_and_named() {
        assert_eq!(
            fitted(columns(), None),
            "name  worker       loss\na     local-1       2.5\nb     local-2  diverged\n"
        );
        assert_eq!(fitted(columns(), Some(23)), fitted(columns(), None));
        let narrow = "name      loss\na          2.5\nb     diverged\n(too narrow for: worker)\n";
        assert_eq!(fitted(columns(), Some(22)), narrow);
        assert_eq!(fitted(columns(), Some(3)), "name\na\nb\n(too narrow for: worker, loss)\n");
    }
}
