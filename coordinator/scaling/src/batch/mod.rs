//! The batch-size law of the MiniCPM paper (section 3.2): the batch that reaches a loss with the fewest tokens.
//!
//! ```text
//! B = c / L^p        B in tokens a step, L the loss it is best for; bs = 1.21e9 / L^6.24 in the paper
//! ```
//!
//! [`fit()`] takes the loss curves of runs of several sizes, at several batch sizes each, and returns a [`BatchFit`].
//! The intermediate results, which [`iso_losses()`] returns for plots and for runs without a law, are: for each size
//! and loss, the tokens that each batch size needs to reach it, from curves made monotone and never extrapolated; a
//! parabola of log tokens over log B; and its minimum, if that lies between the measured batch sizes.
//!
//! Cut curves to the part past warm-up. The loss is whatever the curves hold: training loss, unless the caller measured
//! another.

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
    /// Name of the size.
    pub size: String,
    /// Parameter count of the size.
    pub n: f64,
    /// Tokens per step.
    pub batch: f64,
    /// Tokens seen and loss in nats, in ascending order of tokens.
    pub curve: Vec<(f64, f64)>,
}

/// Losses at which batch sizes are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Levels {
    /// For each size this many, evenly spaced in log loss over the lower half of the losses that three quarters of its
    /// batch sizes (and at least four) have reached.
    Even {
        /// Number of losses.
        count: usize,
    },
    /// These losses, for every size that reaches them.
    Given {
        /// In nats.
        losses: Vec<f64>,
    },
}

/// Options of the fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchOptions {
    /// Losses to compare at.
    pub levels: Levels,
    /// Curve drawn through log tokens over log B.
    pub through: Through,
    /// How runs are resampled, within each size.
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
