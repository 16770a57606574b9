//! The benchmark's report, as data.

use serde::Serialize;

use crate::campaign::Campaign;
use crate::machine::Machine;
use crate::peer::Versions;
use crate::targets::Verdict;

pub use crate::results::{
    AroundResult, Entry, Growth, GrowthTable, Missing, OperationsResult, Product, Ratio, ShapeResult, Side,
};

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// Samples per contestant.
    pub rounds: usize,
    /// Seconds per sample.
    pub sample_seconds: f64,
    /// Versions of the peer; `None` if there is none.
    pub peer: Option<Versions>,
    /// Why the peer is missing although one was requested.
    pub no_peer_because: Option<String>,
    /// Measurements of the peer that failed.
    pub missing: Vec<Missing>,
    /// How fast the machine multiplies matrices.
    pub products: Vec<Product>,
    /// One per requested shape.
    pub shapes: Vec<ShapeResult>,
    /// Where a step's time goes.
    pub operations: Vec<OperationsResult>,
    /// What a worker does around its steps.
    pub around: Option<AroundResult>,
    /// The quick start's time, computed from its shapes.
    pub campaign: Option<Campaign>,
    /// Models and contexts of increasing size.
    pub growth: Vec<Growth>,
    /// The targets, and whether they are met.
    pub verdicts: Vec<Verdict>,
}
