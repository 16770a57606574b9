//! What a report is made from.

use std::collections::BTreeMap;

use vocabulary::{Measurements, Plan, StageKey, TrialId};

/// A campaign as far as it is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    pub plan: Plan,
    /// The results of trials that ended with a loss on held-out text.
    pub results: BTreeMap<TrialId, Measurements>,
    /// The trials that ended without one: pruned, or diverged.
    pub early: BTreeMap<TrialId, EarlyEnd>,
    /// The curves of the stages that have one, steps ascending.
    pub curves: BTreeMap<StageKey, Vec<CurvePoint>>,
    /// What stages that record said of their steps, steps ascending.
    pub dynamics: BTreeMap<StageKey, Vec<DynamicsPoint>>,
    /// The recipe's file name.
    pub recipe_file: String,
    /// The recipe's text.
    pub recipe_text: String,
    /// What the report says made it, for example `windtunnel 0.1.0`.
    pub program: String,
}

/// The end of a trial before its last step.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyEnd {
    /// Steps done.
    pub step: u64,
    /// The result there if a search ended it; `None` if it diverged.
    pub result: Option<Measurements>,
}

/// The training loss at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Counted from the root, the first is 0.
    pub step: u64,
    /// Nats a token, mean over the batch.
    pub loss: f64,
}

/// What was recorded of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicsPoint {
    /// Counted from the root, the first is 0.
    pub step: u64,
    /// Before the multipliers of parameter groups.
    pub learning_rate: f64,
    /// Of the whole gradient, before clipping.
    pub grad_norm: f64,
    /// What the stage recorded beside these.
    pub measurements: Measurements,
}
