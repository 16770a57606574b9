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

mod batches;
mod campaign;
mod conclusion;
mod envelope;
mod figures;
mod files;
mod fit_json;
pub mod forecast;
mod grid;
mod html;
mod measure;
mod number;
mod optimum_lr;
mod points;
mod predictor;
mod search;
mod sets;
mod table;
mod table_fit;

pub use campaign::{Campaign, CurvePoint, DynamicsPoint, EarlyEnd, FinalLoss};
pub use conclusion::Conclusion;
pub use files::{Files, WriteError};
pub use fit_json::{Budget, Doubt, FitFile, Fitted, Judgement, OptimumLaw, Produced, Search};
pub use measure::{AVERAGE, Measure, NoSuchSet, Unit};
pub use points::{MeasuredPoint, Selection};
pub use predictor::{AnyFit, NoPredictor};
pub use scaling::AnalysisOptions;
pub use sets::SetFit;
pub use table_fit::{Column, Dropped, Source, TableFiles, TableFit};
