//! The rows of the table a law is fitted to.

use serde::{Deserialize, Serialize};

/// The final loss of one model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Name of the order in which its trunk saw the data. Points with one order and one D have seen the same batches,
    /// whatever their trunks, and share the luck of them. Empty if no other trunk saw its batches, or nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub order: String,
    /// The seed; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seed: String,
    /// Whatever else was set beside N, D and the seed, as text. Points that differ in it are not seeds of one model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub setting: String,
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
