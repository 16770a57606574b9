//! What commands print: a table for people, or JSON for programs.

use std::io::{self, Write};

use serde::Serialize;

/// Something a command prints on the standard output.
pub(crate) trait View: Serialize {
    /// For people: any number of lines, each ended by a line break.
    fn table(&self) -> String;
}

/// Prints a view, as JSON where that is asked for.
pub(crate) fn print(view: &impl View, json: bool) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string_pretty(view)?) } else { view.table() };
    write(&text)
}

/// Prints one line of a stream: a view as JSON on a line of its own, or as people read it.
pub(crate) fn print_line(view: &impl View, json: bool) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string(view)?) } else { view.table() };
    write(&text)
}

/// Writes to the standard output. That nobody reads to the end, as in `windtunnel list | head -1`, is not an error.
pub(crate) fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Lines up columns: the first to the left, the others as their header says: a header that begins with a space is above
/// numbers, which stand to the right.
pub(crate) fn columns<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    any_columns(&header, rows)
}

/// The same where how many columns there are is not known before: rows have as many cells as the header.
pub(crate) fn any_columns<R: AsRef<[String]>>(header: &[&str], rows: &[R]) -> String {
    let titles: Vec<String> = header.iter().map(|title| title.trim_start().to_owned()).collect();
    let lines: Vec<&[String]> = std::iter::once(titles.as_slice()).chain(rows.iter().map(AsRef::as_ref)).collect();
    let mut text = String::new();
    let width = |column: usize| lines.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    for row in lines {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column > 0 {
                line.push_str("  ");
            }
            if header[column].starts_with(' ') {
                line.push_str(&format!("{cell:>width$}"));
            } else {
                line.push_str(&format!("{cell:<width$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), "1000".to_owned()]];
        assert_eq!(columns(["name", " n"], &rows), "name     n\na        1\nlong  1000\n");
    }
}
