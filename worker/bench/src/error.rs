//! The ways in which a benchmark fails.

use std::io;

use recipes::RecipeError;

use crate::data::DataError;
use crate::process::ProbeError;

/// A benchmark that failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("cannot use a temporary directory")]
    Scratch(#[source] io::Error),
    #[error("cannot make data to train on")]
    Data(#[from] DataError),
    #[error("cannot measure")]
    Probe(#[from] ProbeError),
    /// The built-in quick-start recipe is invalid.
    #[error("cannot plan the quick start")]
    Recipe(#[from] RecipeError),
    #[error("interrupted")]
    Interrupted,
}
