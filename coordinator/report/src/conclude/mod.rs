//! What can be said of a campaign or a table: plain data, whatever it is shown as later.
//!
//! [`Campaign`](campaign::Campaign) goes in. `points` decides what counts as a point and which of them a law is fitted to,
//! [`Conclusion`](conclusion::Conclusion) has the laws, and [`FitFile`](fit_file::FitFile) is the part of it that programs
//! read.

mod batches;
pub(crate) mod campaign;
pub(crate) mod conclusion;
mod envelope;
pub(crate) mod fit_file;
pub mod forecast;
pub(crate) mod grid;
pub(crate) mod measure;
pub(crate) mod optimum_lr;
pub(crate) mod points;
pub(crate) mod predictor;
pub(crate) mod search;
pub(crate) mod sets;
pub(crate) mod source;
pub(crate) mod table_fit;
