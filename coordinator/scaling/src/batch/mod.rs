//! The batch-size law of the MiniCPM paper (section 3.2): the batch that reaches a loss with the fewest tokens.
//!
//! ```text
//! B = c / L^p        B in tokens a step, L the loss it is best for; bs = 1.21e9 / L^6.24 in the paper
//! ```
//!
//! [`fit()`] takes runs of some sizes at several batch sizes each, with their loss curves, and gives a [`BatchFit`]. On the
//! way, which [`iso_losses()`] shows by itself, for plots and where there is no law: for each size and each of some losses
//! the tokens that each batch size needs to reach it, from curves made to fall and never extrapolated; a parabola of log
//! tokens over log B; and its lowest place, if it has one between the batch sizes that were measured.
//!
//! Curves should be cut to the part past warm-up. The loss is that of the curves: training loss, unless the caller has
//! measured another one along the way.

mod error;
mod fit;
mod iso;

use serde::{Deserialize, Serialize};

pub use error::BatchError;
pub use fit::{BatchFit, BatchIntervals, fit};
pub use iso::{IsoLoss, Reached, iso_losses};

use crate::intervals::BootstrapOptions;
use crate::valley::Through;

/// A run at one batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchRun {
    /// The size, as people call it.
    pub size: String,
    /// N of it.
    pub n: f64,
    /// Tokens of one step.
    pub batch: f64,
    /// Tokens seen and loss, in ascending order of tokens.
    pub curve: Vec<(f64, f64)>,
}

/// At which losses the batch sizes are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Levels {
    /// For each size so many, evenly in log loss, over the lower half of the losses that three quarters of its batch sizes
    /// (and at least four) have reached.
    Even {
        /// How many.
        count: usize,
    },
    /// These, for every size that reaches them.
    Given {
        /// The losses.
        losses: Vec<f64>,
    },
}

/// How the law is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchOptions {
    /// At which losses.
    pub levels: Levels,
    /// What is drawn through log tokens over log B.
    pub through: Through,
    /// How runs are resampled, those of a size among themselves.
    pub bootstrap: BootstrapOptions,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            levels: Levels::Even { count: 8 },
            through: Through::Parabola { nearest: Some(5) },
            bootstrap: BootstrapOptions::default(),
        }
    }
}
