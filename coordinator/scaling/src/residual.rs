//! A point with a law's prediction for it.

use serde::{Deserialize, Serialize};

/// A point and the law's prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// Name of the size.
    pub size: String,
    pub n: f64,
    pub d: f64,
    /// The measured loss, in nats.
    pub loss: f64,
    /// The law's loss, in nats.
    pub predicted: f64,
    /// Measured minus predicted, in nats.
    pub residual: f64,
    /// The trunk the point branches from.
    #[serde(default)]
    pub trunk: String,
    /// The order in which its trunk saw the data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub order: String,
}
