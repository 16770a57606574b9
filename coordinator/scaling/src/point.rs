//! The rows of the table a law is fitted to.

use serde::{Deserialize, Serialize};

/// The final loss of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Name of the size, for display only: sizes are distinguished by `n`.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: f64,
    /// D: training tokens.
    pub d: f64,
    /// Loss at the end of the decay, in nats per token.
    pub loss: f64,
    /// Name of the run this point branches from. Points of one trunk share the luck of its initial weights and of its
    /// data order, so intervals draw them together.
    pub trunk: String,
}

/// The distinct values of a quantity over the points, ascending.
pub(crate) fn distinct(points: &[Point], quantity: impl Fn(&Point) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = points.iter().map(quantity).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// The distinct trunks, sorted by name.
pub(crate) fn trunks(points: &[Point]) -> Vec<&str> {
    let names: std::collections::BTreeSet<&str> = points.iter().map(|point| point.trunk.as_str()).collect();
    names.into_iter().collect()
}
