//! A cell of a table.

use vocabulary::numeral::Numeral;

/// The value of one row in one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// An empty cell, a null, an absent key, or a word for one of them.
    Missing,
    /// A number of a format that has numbers; it may be NaN or infinite.
    Number(f64),
    /// Everything else, as written. It may be a number as people write them.
    Text(String),
}

/// Words that programs write for a missing value.
const MISSING: [&str; 9] = ["na", "n/a", "#n/a", "<na>", "null", "none", "nil", "-", "--"];

impl Cell {
    /// A cell of a format without types.
    pub(crate) fn of_text(text: &str) -> Self {
        let text = text.trim();
        match text.is_empty() || MISSING.iter().any(|word| text.eq_ignore_ascii_case(word)) {
            true => Self::Missing,
            false => Self::Text(text.to_owned()),
        }
    }

    /// As text, for messages and names.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// As a number, if it is one.
    pub(crate) fn numeral(&self) -> Option<Numeral> {
        match self {
            Self::Missing => None,
            Self::Number(value) => Some(Numeral::Certain { value: *value, sign: None }),
            Self::Text(text) => Numeral::parse(text),
        }
    }

    /// Whether it is written as a percentage.
    pub(crate) fn is_percent(&self) -> bool {
        matches!(self, Self::Text(text) if text.ends_with('%')) && self.numeral().is_some()
    }

    /// The same for equal values: `1e3` and `1000.0` are one learning rate.
    pub(crate) fn key(&self) -> String {
        match self.numeral().and_then(Numeral::alone) {
            Some(number) => number.to_string(),
            None => self.text(),
        }
    }

    /// Reads a word of yes or no; `None` for anything else.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.text().to_ascii_lowercase().as_str() {
            "true" | "1" | "1.0" | "yes" | "y" | "t" => Some(true),
            "false" | "0" | "0.0" | "no" | "n" | "f" => Some(false),
            _ => None,
        }
    }
}
