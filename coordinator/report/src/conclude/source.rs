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
    /// The unit of the losses, if the table tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What was decided about the table without being asked, and what its points may mix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
    /// The unit of the losses; empty if the table does not tell.
    pub(crate) fn unit(&self) -> &str {
        self.unit.as_deref().unwrap_or_default()
    }

    pub(super) fn meaning(&self, quantity: &str) -> String {
        let column = self.columns.iter().find(|column| column.quantity == quantity);
        column.map(|column| format!("{}, column {:?}", column.meaning, column.column)).unwrap_or_default()
    }

    /// Which columns hold N, D and the loss, in words.
    #[must_use]
    pub fn columns_in_words(&self) -> String {
        let of = |quantity: &&str| self.columns.iter().find(|column| column.quantity == **quantity);
        let columns = ["N", "D", "loss"].iter().filter_map(of);
        columns.map(|column| format!("{} from {:?}", column.quantity, column.column)).collect::<Vec<_>>().join(", ")
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
