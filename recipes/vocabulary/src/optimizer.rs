//! How weights are updated.

use serde::{Deserialize, Serialize};

/// AdamW with decoupled weight decay and clipping by the global gradient norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub eps: f64,
    /// The fraction of a parameter that each step removes, times its learning rate. Gains of RMSNorm are not decayed.
    pub weight_decay: f64,
    /// Gradients whose global L2 norm is larger are scaled down to it.
    pub clip_norm: f64,
}

impl AdamW {
    /// The paper's values, and those of its published code where the paper is silent.
    pub const PAPER: Self = Self { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, clip_norm: 1.0 };
}
