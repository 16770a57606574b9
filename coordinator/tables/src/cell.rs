//! What a row holds in a column.

/// A value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing: an empty cell, a null, a key that is not there.
    Missing,
    /// A number, which may be NaN or infinite.
    Number(f64),
    /// Anything else.
    Text(String),
}

impl Cell {
    /// Of text as it stands in a CSV.
    pub(crate) fn of_text(text: &str) -> Self {
        let text = text.trim();
        match text.parse() {
            _ if text.is_empty() => Self::Missing,
            Ok(number) => Self::Number(number),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    /// For people, and to tell rows apart by.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Whether it says yes or no: `true`, `1`, `yes`, `false`, `0`, `no`.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.text().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        }
    }
}
