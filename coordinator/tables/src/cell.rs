//! A cell of a table.

/// The value of one row in one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// An empty cell, a null or an absent key.
    Missing,
    /// A number, which may be NaN or infinite.
    Number(f64),
    /// Everything else: strings, booleans, dates.
    Text(String),
}

impl Cell {
    /// Parses a CSV field.
    pub(crate) fn of_text(text: &str) -> Self {
        let text = text.trim();
        match text.parse() {
            _ if text.is_empty() => Self::Missing,
            Ok(number) => Self::Number(number),
            Err(_) => Self::Text(text.to_owned()),
        }
    }

    /// As text, for messages and for comparing rows.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Missing => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Reads `true`, `1`, `yes`, `false`, `0` or `no`; `None` for anything else.
    pub(crate) fn truth(&self) -> Option<bool> {
        match self.text().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        }
    }
}
