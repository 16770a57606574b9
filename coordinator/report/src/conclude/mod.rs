//! What a campaign or a table shows: plain data, independent of how it is rendered.
//!
//! The input is a [`Campaign`](campaign::Campaign). `points` decides what counts as a point and which points the law is fitted
//! to, [`Conclusion`](conclusion::Conclusion) holds the laws, and [`FitFile`](fit_file::FitFile) is the part that programs read.

pub(crate) mod batches;
pub(crate) mod campaign;
pub(crate) mod conclusion;
pub(crate) mod counting;
pub(crate) mod documents;
mod envelope;
pub(crate) mod evaluations;
pub(crate) mod fit_file;
pub mod forecast;
pub(crate) mod grid;
pub(crate) mod isoflop_fit;
pub(crate) mod measure;
pub(crate) mod optimum_lr;
pub(crate) mod points;
pub(crate) mod predictor;
pub(crate) mod search;
pub(crate) mod sets;
pub(crate) mod source;
pub(crate) mod table_fit;
