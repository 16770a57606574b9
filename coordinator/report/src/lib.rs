//! The report on a campaign: `points.csv`, `fit.json`, `report.html`, and the table in the terminal.
//!
//! In goes plain data, a [`Campaign`] with its plan, final losses and curves; out comes a [`Conclusion`], which has the law
//! fitted to the decayed points, or the reason why there is none, and renders itself in each of the forms.
//!
//! A table that people bring without a campaign becomes a [`TableFit`], with the same forms but no curves.
//!
//! The crate knows no coordinator, no network and no clock: the same measurements give the same files to the byte. It does
//! not know how a law is fitted either; that is `scaling`. Start with [`Conclusion::of`]; `points` decides what counts as a
//! point, `figures` what a reader sees of the curves.

mod conclude;
pub mod draw;
mod escape;
pub mod figures;
mod number;
mod render;
mod words;

pub use conclude::campaign::{Campaign, CurvePoint, DynamicsPoint, EarlyEnd};
pub use conclude::conclusion::Conclusion;
pub use conclude::fit_file::{Budget, Doubt, FitFile, Fitted, Judgement, OptimumLaw, Produced, Search};
pub use conclude::forecast;
pub use conclude::measure::{AVERAGE, Measure, NoSuchSet, Unit};
pub use conclude::points::{MeasuredPoint, Selection};
pub use conclude::predictor::{AnyFit, NoPredictor};
pub use conclude::sets::SetFit;
pub use conclude::source::{Column, Dropped, Source};
pub use conclude::table_fit::TableFit;
pub use render::{Files, TableFiles, WriteError};
pub use scaling::AnalysisOptions;
