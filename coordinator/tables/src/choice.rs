//! Which columns and rows of a table become points: what is asked for, and what is answered.

use scaling::Point;

use crate::filter::Filter;

/// Columns by name. A column left at `None` is looked for under the usual names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Parameter count N.
    pub n: Option<String>,
    /// Token count D.
    pub d: Option<String>,
    /// Training compute C in FLOPs, instead of D: D = C / 6N.
    pub flops: Option<String>,
    /// Final loss.
    pub loss: Option<String>,
    /// The run that a point branches from. Points of one trunk are resampled together.
    pub trunk: Option<String>,
    /// Name of the model size, for display.
    pub size: Option<String>,
    /// Random seed of the run.
    pub seed: Option<String>,
    /// Whether the loss was measured at the end of a decay.
    pub decayed: Option<String>,
    /// Conditions that a row must all satisfy.
    pub filters: Vec<Filter>,
    /// Keep only the best setting of each N and D.
    pub best_per_cell: bool,
}

/// The points of a table, with an account of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// In the order of the rows.
    pub points: Vec<Point>,
    /// Number of rows in the file.
    pub rows: usize,
    /// Reasons for leaving rows out, each with the number of rows.
    pub dropped: Vec<(String, usize)>,
    /// Columns read, and how each was interpreted.
    pub columns: Vec<UsedColumn>,
    /// How points were assigned to trunks, as a sentence.
    pub trunks: String,
    /// Number of points not measured at the end of a decay; `None` if the table does not say.
    pub undecayed: Option<usize>,
    /// The unit of the loss, if the name of its column tells.
    pub unit: Option<&'static str>,
    /// What was decided without being asked, and what the points may mix, a sentence each.
    pub notes: Vec<String>,
}

/// A column that was read, and its interpretation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedColumn {
    /// `N`, `D`, `loss`, `size` or `decayed`.
    pub quantity: &'static str,
    pub column: String,
    /// What the numbers are taken to mean, for display.
    pub meaning: String,
}
