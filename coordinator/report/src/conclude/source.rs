//! Where the points of a table are from, and what was done with its rows.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Where the points of a table are from, and what was done with its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name, as it was given.
    pub file: String,
    /// Rows the file has.
    pub rows: usize,
    /// Rows that were left out, and why.
    pub dropped: Vec<Dropped>,
    /// The column each quantity was read from.
    pub columns: Vec<Column>,
    /// Conditions that a row had to meet, for example `width=1024`.
    pub filters: Vec<String>,
    /// What makes points share their luck, in words.
    pub trunks: String,
    /// Whether the table says that its losses are from the end of a decay.
    pub decayed: String,
}

/// Rows that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Why.
    pub reason: String,
    /// How many.
    pub rows: usize,
}

/// What a column was read as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The quantity: N, D, loss, trunk...
    pub quantity: String,
    /// The column.
    pub column: String,
    /// What it was taken to be, in words.
    pub meaning: String,
}

impl Source {
    pub(super) fn meaning(&self, quantity: &str) -> String {
        let column = self.columns.iter().find(|column| column.quantity == quantity);
        column.map(|column| format!("{}, column {:?}", column.meaning, column.column)).unwrap_or_default()
    }

    /// Which rows were fitted, in words.
    #[must_use]
    pub fn points(&self) -> String {
        let mut text = format!("rows of {}", self.file);
        if !self.filters.is_empty() {
            let _ = write!(text, " where {}", self.filters.join(" and "));
        }
        for Dropped { reason, rows } in &self.dropped {
            let _ = write!(text, "; {rows} left out: {reason}");
        }
        let _ = write!(text, "; {}", self.decayed);
        text
    }
}
