//! Tables of JSON objects: one a line, or an array of them.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use crate::cell::Cell;
use crate::table::Table;

/// JSON that makes no table.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// A row is not a JSON object.
    #[error("line {line} is not a JSON object")]
    Row {
        /// Counted from 1.
        line: usize,
        #[source]
        source: serde_json::Error,
    },
    /// The array does not hold objects.
    #[error("its array is not one of JSON objects, one for each row")]
    Array(#[source] serde_json::Error),
    /// One object that holds the columns.
    #[error("it is one JSON object ({}): one object for each row is expected, as lines or in an array", keys.join(", "))]
    Columns {
        /// Its first keys.
        keys: Vec<String>,
    },
}

/// The fields of an object, in order, with duplicates.
struct Record(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Record(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

pub(crate) fn table(text: &str) -> Result<Table, JsonError> {
    let text = with_quoted_nan(text);
    let mut table = Table::default();
    if text.trim_start().starts_with('[') {
        let records: Vec<Record> = serde_json::from_str(&text).map_err(JsonError::Array)?;
        records.into_iter().for_each(|record| add(&mut table, record));
        return Ok(table);
    }
    for record in serde_json::Deserializer::from_str(&text).into_iter::<Record>() {
        let record = record.map_err(|source| JsonError::Row { line: source.line(), source })?;
        add(&mut table, record);
    }
    match &table.rows[..] {
        [row] if row.iter().any(holds_a_column) => {
            Err(JsonError::Columns { keys: table.columns.into_iter().take(4).collect() })
        }
        _ => Ok(table),
    }
}

fn holds_a_column(cell: &Cell) -> bool {
    matches!(cell, Cell::Text(text) if text.starts_with(['[', '{']))
}

fn add(table: &mut Table, Record(fields): Record) {
    table.push(fields.into_iter().map(|(name, value)| (name, of_value(value))));
}

/// Quotes `NaN` and `Infinity` where they stand as values, as Python's `json` writes them, so that the text is JSON and the
/// cell still shows them. What stands in a string stays.
fn with_quoted_nan(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if letter == '"' {
            let end = end_of_string(rest);
            quoted.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let word = ["NaN", "-Infinity", "Infinity", "-NaN"].into_iter().find(|word| rest.starts_with(word));
        let length = match word {
            Some(word) => {
                quoted.push_str(&format!("\"{}\"", word.replace("Infinity", "inf").replace("-NaN", "NaN")));
                word.len()
            }
            None => {
                quoted.push(letter);
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    quoted
}

/// The length of the string that a text begins with, with its quotes.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            // A string has no line breaks: what follows is not part of a broken one.
            '\n' => return at,
            _ => {}
        }
    }
    text.len()
}

fn of_value(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Missing,
        Value::Number(number) => number.as_f64().map_or(Cell::Missing, Cell::Number),
        Value::String(text) => Cell::of_text(&text),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Cell::Text(value.to_string()),
    }
}
