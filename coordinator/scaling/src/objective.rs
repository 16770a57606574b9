//! What a fit minimises.

use serde::{Deserialize, Serialize};

/// The quantity to minimise, summed over the points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Objective {
    /// Huber's function of the residual of log L: quadratic up to `delta`, linear beyond, so that a point far off the
    /// law pulls no harder than one slightly off. Scaling-law papers use it with 1e-3.
    Huber {
        /// Where the quadratic part ends, in units of log L.
        delta: f64,
    },
    /// Half the square of the residual of log L.
    LogLeastSquares,
    /// Half the square of the residual of L, which `scipy.optimize.curve_fit` minimises; the MiniCPM paper used it.
    LeastSquares,
}

/// Huber's function with the papers' threshold.
impl Default for Objective {
    fn default() -> Self {
        Self::Huber { delta: 1e-3 }
    }
}

impl Objective {
    /// Observed minus predicted, in the units of the objective, from logarithms.
    pub(crate) fn residual(self, log_loss: f64, log_predicted: f64) -> f64 {
        if self.is_in_logs() { log_loss - log_predicted } else { log_loss.exp() - log_predicted.exp() }
    }

    pub(crate) fn is_in_logs(self) -> bool {
        !matches!(self, Self::LeastSquares)
    }

    /// The penalty of a residual, and its first and second derivatives.
    pub(crate) fn penalty(self, residual: f64) -> (f64, f64, f64) {
        match self {
            Self::Huber { delta } if residual.abs() > delta => {
                (delta * (residual.abs() - 0.5 * delta), delta * residual.signum(), 0.0)
            }
            _ => (0.5 * residual * residual, residual, 1.0),
        }
    }

    /// Smoother objectives to pass through first, the smoothest first.
    pub(crate) fn continuation(self) -> Vec<Self> {
        match self {
            Self::Huber { delta } => {
                let sharpen = [30.0, 5.0].map(|factor| Self::Huber { delta: factor * delta });
                std::iter::once(Self::LogLeastSquares).chain(sharpen).collect()
            }
            _ => vec![self],
        }
    }
}
