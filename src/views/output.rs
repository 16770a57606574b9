//! Printing: text for people or JSON for programs.

use std::io::{self, Write};

use serde::Serialize;
use vocabulary::text::lined_up;

/// Output of a command on standard output.
pub(crate) trait View: Serialize {
    /// Text for people: any number of lines, each ending with a line break.
    fn table(&self) -> String;
}

/// Prints a view, as JSON if requested.
pub(crate) fn print(view: &impl View, json: bool) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string_pretty(view)?) } else { view.table() };
    write(&text)
}

/// Prints one item of a stream: JSON on a single line, or text.
pub(crate) fn print_line(view: &impl View, json: bool) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string(view)?) } else { view.table() };
    write(&text)
}

/// Writes to standard output. A closed pipe, as in `windtunnel list | head -1`, is not an error.
pub(crate) fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Lines up columns. A header that begins with a space is right-aligned, as for numbers.
pub(crate) fn columns<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    any_columns(&header, rows)
}

/// The same for any number of columns; rows have as many cells as the header.
pub(crate) fn any_columns<R: AsRef<[String]>>(header: &[&str], rows: &[R]) -> String {
    let titles: Vec<String> = header.iter().map(|title| title.trim_start().to_owned()).collect();
    let lines: Vec<&[String]> = std::iter::once(titles.as_slice()).chain(rows.iter().map(AsRef::as_ref)).collect();
    lined_up(&lines, |column| header[column].starts_with(' '))
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
