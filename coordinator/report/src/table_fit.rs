//! The fit of a table that people bring, without a campaign.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use scaling::{Analysis, Law, ScalingLaw};
use serde::{Deserialize, Serialize};

use crate::files::{WriteError, replace};
use crate::fit_json::{FitFile, Fitted, Produced};
use crate::measure::Unit;
use crate::{figures, html, table};

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

/// A law fitted to a table.
#[derive(Debug, Clone)]
pub struct TableFit<L = ScalingLaw> {
    /// Where the points are from.
    pub source: Source,
    /// The law with all that belongs to it.
    pub analysis: Analysis<L>,
    /// What says it made this, for example `windtunnel 0.1.0`.
    pub program: String,
}

/// Where the files of a table's fit are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFiles {
    /// `fit.json`
    pub fit: PathBuf,
    /// `report.html`
    pub report: PathBuf,
}

impl Source {
    fn meaning(&self, quantity: &str) -> String {
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

impl<L: Law> TableFit<L> {
    /// The contents of `fit.json`.
    #[must_use]
    pub fn fit_file(&self) -> FitFile<L> {
        let fitted = Fitted {
            n: self.source.meaning("N"),
            d: self.source.meaning("D"),
            loss: self.source.meaning("loss"),
            points: self.source.points(),
            arm: None,
            validation_tokens: None,
        };
        let bootstrap = self.analysis.settings.bootstrap;
        let settings = Produced {
            program: self.program.clone(),
            recipe: None,
            dataset: None,
            bootstrap: Some(bootstrap),
            resampled: bootstrap.resample.describe().to_owned(),
        };
        FitFile {
            table: Some(self.source.clone()),
            ..FitFile::of_law(Some(&self.analysis), self.analysis.n_points, fitted, settings)
        }
    }

    /// What people read in a terminal.
    #[must_use]
    pub fn table(&self) -> String {
        let Source { file, rows, columns, filters, dropped, trunks, decayed } = &self.source;
        let mut text = format!("{file}: {} of {rows} rows\n", self.analysis.n_points);
        for Column { quantity, column, meaning } in columns {
            let _ = writeln!(text, "{quantity:<9} {column:?}: {meaning}");
        }
        for filter in filters {
            let _ = writeln!(text, "filter    {filter}");
        }
        for Dropped { reason, rows } in dropped {
            let _ = writeln!(text, "left out  {rows} rows: {reason}");
        }
        let _ = writeln!(text, "trunks    {trunks}\ndecay     {decayed}\n");
        table::law(&mut text, &self.analysis);
        text.push('\n');
        table::quality(&mut text, &self.analysis, Unit::Token.in_words());
        table::optima(&mut text, &self.analysis);
        for warning in &self.analysis.warnings {
            let _ = writeln!(text, "note: {warning}");
        }
        text
    }

    /// The contents of `report.html`.
    #[must_use]
    pub fn html(&self) -> String {
        html::table_page(self, &figures::of_table(&self.analysis))
    }

    /// Writes `fit.json` and `report.html` into a directory, in the place of those that are there.
    ///
    /// # Errors
    /// Where one of them cannot be written. What was there before is then still there.
    pub fn write(&self, directory: &Path) -> Result<TableFiles, WriteError> {
        let mut fit = serde_json::to_string_pretty(&self.fit_file()).expect("a fit always has a JSON form");
        fit.push('\n');
        Ok(TableFiles {
            fit: replace(directory.join("fit.json"), &fit)?,
            report: replace(directory.join("report.html"), &self.html())?,
        })
    }
}
