//! Tables of separated values.

use vocabulary::numeral::Numeral;

use crate::cell::Cell;
use crate::table::Table;

/// What separates columns, and its name.
const SEPARATORS: [(u8, &str); 4] = [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];

/// Records that decide between two separators.
const TRIED: usize = 1000;

/// Lines that make no table.
#[derive(Debug, thiserror::Error)]
pub enum SeparatedError {
    /// Two separators would do.
    #[error("{first} or {second} may separate its columns: quote the names that hold one of them")]
    Separator { first: &'static str, second: &'static str },
    /// A row has more or fewer fields than the header.
    #[error(
        "line {line} has {found} fields, and the header has {expected}, separated by {separator}{}",
        if *found > *expected { ": quote fields that hold a separator, and write decimal points" } else { "" }
    )]
    Fields { line: u64, found: usize, expected: usize, separator: &'static str },
    /// The first row is one of numbers.
    #[error("its first line has numbers ({}) where the names of the columns are expected: add a header", names.join(", "))]
    NoHeader { names: Vec<String> },
    /// It is not even CSV.
    #[error(transparent)]
    Csv(#[from] csv::Error),
}

/// Reads a table; `usual` separates the columns unless the header says otherwise.
pub(crate) fn table(text: &str, usual: u8) -> Result<Table, SeparatedError> {
    let mut notes = Vec::new();
    let whole = text;
    let (text, said) = said_separator(text);
    let comments = text.lines().take_while(|line| line.trim().is_empty() || line.starts_with('#'));
    let text = after_lines(text, comments.clone().count());
    let comments = comments.filter(|line| line.starts_with('#')).count();
    if comments > 0 {
        let lines = if comments == 1 { "1 line" } else { &format!("{comments} lines") };
        notes.push(format!("{lines} that begin with # at the top of the table are passed over"));
    }
    let separator = said.map_or_else(|| find(text, usual), Ok)?;
    if separator != usual {
        notes.push(format!("its columns are separated by {}", name(separator)));
    }
    let mut records = reader(text, separator).into_records();
    let fields = |record: &csv::StringRecord| record.iter().map(|field| field.trim().to_owned()).collect();
    let columns: Vec<String> = match records.next().transpose()? {
        Some(header) => fields(&header),
        None => Vec::new(),
    };
    let is_number = |name: &String| Numeral::parse(name).is_some();
    if !columns.is_empty() && columns.iter().all(is_number) {
        return Err(SeparatedError::NoHeader { names: columns.into_iter().take(4).collect() });
    }
    let mut table = Table { columns, rows: Vec::new(), notes };
    let expected = table.columns.len();
    for record in records {
        let record = record?;
        let mut row: Vec<Cell> = record.iter().map(Cell::of_text).collect();
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        // Some programs end every line with a separator.
        while row.len() > expected && record.get(row.len() - 1).is_some_and(|field| field.trim().is_empty()) {
            row.pop();
        }
        if row.len() != expected {
            let before = whole[..whole.len() - text.len()].matches('\n').count() as u64;
            let line = before + record.position().map_or(0, csv::Position::line);
            return Err(SeparatedError::Fields { line, found: row.len(), expected, separator: name(separator) });
        }
        table.rows.push(row);
    }
    Ok(table)
}

/// Excel's first line `sep=;`, and the rest.
fn said_separator(text: &str) -> (&str, Option<u8>) {
    let first = text.lines().next().unwrap_or_default();
    match first.as_bytes() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator] => (after_lines(text, 1), Some(*separator)),
        _ => (text, None),
    }
}

fn after_lines(text: &str, lines: usize) -> &str {
    let at = text.split_inclusive('\n').take(lines).map(str::len).sum();
    &text[at..]
}

/// The separator of a table.
fn find(text: &str, usual: u8) -> Result<u8, SeparatedError> {
    let header = text.lines().next().unwrap_or_default();
    let mut quoted = false;
    let mut inside = Vec::new();
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        if !quoted && SEPARATORS.iter().any(|(separator, _)| *separator == byte) && !inside.contains(&byte) {
            inside.push(byte);
        }
    }
    match inside[..] {
        [] => return Ok(usual),
        [only] => return Ok(only),
        _ => {}
    }
    // Of several, the one that gives every row as many fields.
    inside.retain(|separator| {
        let mut lengths =
            reader(text, *separator).into_records().take(TRIED).map(|record| record.map_or(0, |row| row.len()));
        let first = lengths.next().unwrap_or_default();
        first > 1 && lengths.all(|length| length == first || length == 1)
    });
    match inside[..] {
        [] => Ok(usual),
        [only] => Ok(only),
        [first, second, ..] => Err(SeparatedError::Separator { first: name(first), second: name(second) }),
    }
}

fn name(separator: u8) -> &'static str {
    SEPARATORS.iter().find(|(known, _)| *known == separator).map_or("what its first line says", |(_, name)| name)
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(false).from_reader(text.as_bytes())
}
