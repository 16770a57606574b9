//! Lines for people: columns lined up, and errors with their causes.

use std::error::Error;
use std::fmt::Display;

/// Lines up columns two spaces apart. Cells stand to the left, or to the right in the columns that `is_right` names; all rows
/// have as many cells.
#[must_use]
pub fn lined_up<R: AsRef<[String]>>(rows: &[R], is_right: impl Fn(usize) -> bool) -> String {
    let rows: Vec<&[String]> = rows.iter().map(AsRef::as_ref).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..rows.first().map_or(0, |row| row.len())).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match is_right(column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// How many columns a terminal is sure to have.
const COLUMNS: usize = 80;

/// A paragraph in lines of at most 80 columns, each ended by a line break; all but the first are indented by `indent` spaces.
/// A word that is longer gets a line of its own.
#[must_use]
pub fn wrapped(paragraph: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > COLUMNS {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            text.push_str(word);
            width = indent + length;
        } else {
            // Spaces in a row line up what stands behind them.
            let space = usize::from(!text.is_empty());
            text.push_str(&" ".repeat(space));
            text.push_str(word);
            width += space + length;
        }
    }
    text.push('\n');
    text
}

/// A count with its noun, whose plural ends in s: `1 stage`, `12 stages`.
#[must_use]
pub fn counted(count: impl TryInto<u64> + Display + Copy, one: &str) -> String {
    let is_one = count.try_into().is_ok_and(|count| count == 1);
    format!("{count} {one}{}", if is_one { "" } else { "s" })
}

/// A list in a sentence: `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn listed<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match &items[..] {
        [first @ .., before, last] => {
            let first: String = first.iter().map(|item| format!("{item}, ")).collect();
            format!("{first}{before} and {last}")
        }
        _ => items.concat(),
    }
}

/// An error and its causes on one line, whatever line breaks they hold.
#[must_use]
pub fn one_line(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some libraries print their cause themselves.
        let text = error.to_string();
        if !chain.ends_with(&text) {
            chain = format!("{chain}: {text}");
        }
        cause = error.source();
    }
    chain.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot do it")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("a cause\n  of two lines")]
    struct Inner;

    #[test]
    fn one_is_one() {
        assert_eq!(
            [counted(0_u32, "stage"), counted(1_u64, "stage"), counted(2_usize, "stage")],
            ["0 stages", "1 stage", "2 stages"]
        );
    }

    #[test]
    fn causes_stand_on_one_line() {
        assert_eq!(one_line(&Outer(Inner)), "cannot do it: a cause of two lines");
    }

    #[test]
    fn a_paragraph_is_wrapped_at_80_columns() {
        assert_eq!(wrapped("note: short", 2), "note: short\n");
        let long = wrapped(&format!("rmse  {}", "word ".repeat(20).trim_end()), 6);
        let lines: Vec<&str> = long.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("rmse  word") && lines[0].len() <= 80 && lines[1].starts_with("      word"),
            "{long}"
        );
    }

    #[test]
    fn a_list_reads_like_a_sentence() {
        assert_eq!([listed(&["a"]), listed(&["a", "b"]), listed(&["a", "b", "c"])], ["a", "a and b", "a, b and c"]);
        assert_eq!(listed::<&str>(&[]), "");
    }

    #[test]
    fn columns_line_up_and_lines_have_no_end_of_spaces() {
        let rows = [["a", "1", ""], ["long", "1000", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(lined_up(&rows, |column| column == 1), "a        1\nlong  1000  x\n");
        assert_eq!(lined_up(&rows, |column| column != 1), "   a  1\nlong  1000  x\n");
        assert_eq!(lined_up::<Vec<String>>(&[], |_| true), "");
    }
}
