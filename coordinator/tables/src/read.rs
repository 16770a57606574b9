//! Reads a file into a table.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

use crate::cell::Cell;

/// Named columns and rows of cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Column names, in the file's order.
    pub columns: Vec<String>,
    /// Each row has one cell per column.
    pub rows: Vec<Vec<Cell>>,
}

/// A file that cannot be read as a table.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file's extension is not one of the known ones.
    #[error("unknown format of {}: expected a name ending in .csv, .tsv, .jsonl, .ndjson or .parquet", path.display())]
    UnknownKind { path: PathBuf },
    /// The file cannot be opened or read.
    #[error("read {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A malformed CSV row.
    #[error("read {}", path.display())]
    Csv {
        path: PathBuf,
        /// Names the row.
        #[source]
        source: csv::Error,
    },
    /// A line that is not a JSON object.
    #[error("line {line} of {} is not a JSON object", path.display())]
    Json {
        path: PathBuf,
        /// Line number, counted from 1.
        line: usize,
        /// `None` if the line is valid JSON but not an object.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// Not a Parquet file, or one with unsupported compression.
    #[error("read {}", path.display())]
    Parquet {
        path: PathBuf,
        #[source]
        source: parquet::errors::ParquetError,
    },
}

/// Reads a file; its extension gives the format.
///
/// # Errors
/// Fails if the file cannot be read, or its content does not match its extension.
pub fn read(path: &Path) -> Result<Table, ReadError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    match ending.as_str() {
        "csv" => separated(path, b','),
        "tsv" => separated(path, b'\t'),
        "jsonl" | "ndjson" => json_lines(path, BufReader::new(File::open(path).map_err(io)?)),
        "parquet" => parquet_rows(File::open(path).map_err(io)?)
            .map_err(|source| ReadError::Parquet { path: path.to_owned(), source }),
        _ => Err(ReadError::UnknownKind { path: path.to_owned() }),
    }
}

fn separated(path: &Path, delimiter: u8) -> Result<Table, ReadError> {
    let wrong = |source| ReadError::Csv { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).map_err(wrong)?;
    // Some programs begin a file with a byte-order mark, which must not become part of the first name.
    let columns =
        reader.headers().map_err(wrong)?.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned());
    let columns: Vec<String> = columns.collect();
    let row = |record: Result<csv::StringRecord, csv::Error>| Ok(record?.iter().map(Cell::of_text).collect());
    let rows = reader.records().map(row).collect::<Result<_, _>>().map_err(wrong)?;
    Ok(Table { columns, rows })
}

fn json_lines(path: &Path, lines: impl BufRead) -> Result<Table, ReadError> {
    let mut table = Table::default();
    for (index, line) in lines.lines().enumerate() {
        let line = line.map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |source| ReadError::Json { path: path.to_owned(), line: index + 1, source };
        // Python writes NaN, for which JSON has no word; a null is at least counted.
        let value = serde_json::from_str(&line)
            .or_else(|error| serde_json::from_str(&without_nan(&line)).map_err(|_| error))
            .map_err(|error| wrong(Some(error)))?;
        let Value::Object(object) = value else { return Err(wrong(None)) };
        let cells = object.into_iter().map(|(name, value)| (name, of_json(value)));
        table.push(cells);
    }
    Ok(table)
}

/// Quotes `NaN` and `Infinity`, as Python's `json` writes them, so that the line parses and the cell still shows them.
fn without_nan(line: &str) -> String {
    line.replace("-Infinity", "\"-inf\"").replace("Infinity", "\"inf\"").replace("NaN", "\"NaN\"")
}

fn of_json(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Missing,
        Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        Value::String(text) => Cell::of_text(&text),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Cell::Text(value.to_string()),
    }
}

fn parquet_rows(file: File) -> Result<Table, parquet::errors::ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let schema = reader.metadata().file_metadata().schema();
    let mut table =
        Table { columns: schema.get_fields().iter().map(|field| field.name().to_owned()).collect(), rows: Vec::new() };
    for row in reader.get_row_iter(None)? {
        table.rows.push(row?.get_column_iter().map(|(_, field)| of_parquet(field)).collect());
    }
    Ok(table)
}

fn of_parquet(field: &Field) -> Cell {
    match field {
        Field::Null => Cell::Missing,
        Field::Byte(value) => Cell::Number(f64::from(*value)),
        Field::Short(value) => Cell::Number(f64::from(*value)),
        Field::Int(value) => Cell::Number(f64::from(*value)),
        Field::Long(value) => Cell::Number(*value as f64),
        Field::UByte(value) => Cell::Number(f64::from(*value)),
        Field::UShort(value) => Cell::Number(f64::from(*value)),
        Field::UInt(value) => Cell::Number(f64::from(*value)),
        Field::ULong(value) => Cell::Number(*value as f64),
        Field::Float16(value) => Cell::Number(value.to_f64()),
        Field::Float(value) => Cell::Number(f64::from(*value)),
        Field::Double(value) => Cell::Number(*value),
        Field::Str(text) => Cell::Text(text.clone()),
        // Decimals, dates and the like become text.
        other => Cell::of_text(&other.to_string()),
    }
}

impl Table {
    /// Adds a row. An unknown name becomes a new column.
    fn push(&mut self, cells: impl Iterator<Item = (String, Cell)>) {
        let mut row = vec![Cell::Missing; self.columns.len()];
        for (name, cell) in cells {
            match self.columns.iter().position(|column| *column == name) {
                Some(index) => row[index] = cell,
                None => {
                    self.columns.push(name);
                    self.rows.iter_mut().for_each(|row| row.push(Cell::Missing));
                    row.push(cell);
                }
            }
        }
        self.rows.push(row);
    }
}
