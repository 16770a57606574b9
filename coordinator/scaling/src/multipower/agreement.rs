//! How well predictions agree with a measured curve, in the paper's measures.

use serde::{Deserialize, Serialize};

/// Predicted against measured losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Share of the measured losses' variance that is predicted.
    pub r_squared: f64,
    /// Mean absolute error, in nats.
    pub mean_error: f64,
    /// Root of the mean squared error, in nats.
    pub rmse: f64,
    /// Mean absolute error relative to the loss.
    pub mean_relative: f64,
    /// Largest absolute error relative to the loss.
    pub worst_relative: f64,
}

impl Agreement {
    /// Compares equal numbers of predictions and measurements. `None` if there are none.
    #[must_use]
    pub fn of(predicted: &[f64], measured: &[f64]) -> Option<Self> {
        if measured.is_empty() || predicted.len() != measured.len() {
            return None;
        }
        let count = measured.len() as f64;
        let mean = measured.iter().sum::<f64>() / count;
        let pairs = || predicted.iter().zip(measured);
        let squares = pairs().map(|(p, m)| (p - m).powi(2)).sum::<f64>();
        let relative = || pairs().map(|(p, m)| (p - m).abs() / m);
        Some(Self {
            r_squared: 1.0 - squares / measured.iter().map(|m| (m - mean).powi(2)).sum::<f64>(),
            mean_error: pairs().map(|(p, m)| (p - m).abs()).sum::<f64>() / count,
            rmse: (squares / count).sqrt(),
            mean_relative: relative().sum::<f64>() / count,
            worst_relative: relative().fold(0.0, f64::max),
        })
    }
}
