//! Where the points of a table come from, and what happened to its rows.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Where the points of a table come from, and what happened to its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The file's name as given.
    pub file: String,
    /// Rows in the file.
    pub rows: usize,
    /// Omitted rows, by reason.
    pub dropped: Vec<Dropped>,
    /// The column each quantity was read from.
    pub columns: Vec<Column>,
    /// Conditions on rows, for example `width=1024`.
    pub filters: Vec<String>,
    /// Which points count as sharing a trunk, in words.
    pub trunks: String,
    /// Whether the table marks its losses as decayed, in words.
    pub decayed: String,
}

/// Rows omitted for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    pub reason: String,
    /// Their number.
    pub rows: usize,
}

/// How a column was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The quantity: N, D, loss, trunk...
    pub quantity: String,
    /// Its name.
    pub column: String,
    /// Its interpretation, in words.
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
