//! The report on a campaign: `points.csv`, `fit.json`, `report.html`, and the table in the terminal.
//!
//! Three layers, none of which knows the ones below it. `conclude` turns a [`Campaign`], with its plan, final losses and
//! curves, into a [`Conclusion`]: the points, the law fitted to the decayed ones or the reason there is no law. [`figures`] are
//! functions of small inputs, which [`draw`] takes from a campaign, running or finished. `render` writes a conclusion as
//! `points.csv`, `fit.json`, a page, and text for a terminal.
//!
//! A table brought without a campaign becomes a [`TableFit`], which is rendered the same way but has no curves.
//!
//! The crate knows no coordinator, no network and no clock: the same measurements give the same files, byte for byte. How a law
//! is fitted is `scaling`'s business. Start with [`Conclusion::of`]; `conclude::points` decides what counts as a point.

mod conclude;
pub mod draw;
mod escape;
pub mod figures;
mod render;
mod words;

pub use conclude::campaign::{Campaign, CurvePoint, DynamicsPoint, EarlyEnd, Progress, StageEnd};
pub use conclude::conclusion::Conclusion;
pub use conclude::counting::{CountedFlops, CountedN, Counting};
pub use conclude::documents::HeldOutErrors;
pub use conclude::evaluations::Evaluated;
pub use conclude::fit_file::{Budget, Doubt, FitFile, Fitted, Judgement, OptimumLaw, Produced, Search, TrainingText};
pub use conclude::forecast;
pub use conclude::isoflop_fit::IsoFlopFit;
pub use conclude::measure::{AVERAGE, HeldOut, Measure, NoSuchSet, Unit};
pub use conclude::points::{MeasuredPoint, Repeated, Selection};
pub use conclude::predictor::{AnyFit, NoPredictor};
pub use conclude::sets::SetFit;
pub use conclude::source::{Column, Dropped, Source};
pub use conclude::table_fit::TableFit;
pub use render::{Files, TableFiles, WriteError};
pub use scaling::AnalysisOptions;
