//! What a report is made from.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::{Measurements, Plan, Rows, StageKey, TrialId};

/// A campaign with everything measured so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    pub plan: Plan,
    /// The results of trials that ended with a loss on held-out text.
    pub results: BTreeMap<TrialId, Measurements>,
    /// The documents behind the results of stages; stages that an earlier version trained have none.
    pub rows: BTreeMap<StageKey, Rows>,
    /// The trials that ended without one: pruned, or diverged.
    pub early: BTreeMap<TrialId, EarlyEnd>,
    /// Results of completed evaluations by key.
    pub evaluations: BTreeMap<StageKey, Measurements>,
    /// How far its stages have got.
    pub progress: Progress,
    /// Loss curves by stage, steps ascending; stages without a curve are absent.
    pub curves: BTreeMap<StageKey, Vec<CurvePoint>>,
    /// Per-step records of the stages that record them, steps ascending.
    pub dynamics: BTreeMap<StageKey, Vec<DynamicsPoint>>,
    /// The recipe's file name.
    pub recipe_file: String,
    /// The recipe's text.
    pub recipe_text: String,
    /// The program named in the report, for example `windtunnel 0.1.0`.
    pub program: String,
}

/// How far the stages of a campaign have got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tokens trained, of stages that are not completed as well.
    pub tokens_trained: u64,
    /// How long workers had its stages and evaluations, in milliseconds; zero where that was not recorded.
    pub device_ms: u64,
    /// From when to when, in milliseconds since 1970.
    pub worked_at_ms: Option<[u64; 2]>,
    /// Stages that have ended without completing. Stages in neither this nor [`Self::open`] are completed.
    pub ended: BTreeMap<StageKey, StageEnd>,
    /// Stages that wait or run.
    pub open: BTreeSet<StageKey>,
}

/// Why a stage ended without completing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageEnd {
    /// Its loss diverged.
    Diverged,
    /// It was given up after too many failures.
    GivenUp,
    /// It is not trained: a stage it depends on ended so, or the campaign was cancelled.
    NotRun,
}

impl StageEnd {
    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::GivenUp => "given up",
            Self::NotRun => "not run",
        }
    }
}

impl Progress {
    /// How many stages ended like this.
    #[must_use]
    pub fn count(&self, end: StageEnd) -> usize {
        self.ended.values().filter(|ended| **ended == end).count()
    }
}

/// The end of a trial before its last step.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyEnd {
    /// Completed steps.
    pub step: u64,
    /// The result there if a search ended it; `None` if it diverged.
    pub result: Option<Measurements>,
}

/// The training loss at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// Counted from the root, starting at 0.
    pub step: u64,
    /// Nats a token, averaged over the batch.
    pub loss: f64,
}

/// What was recorded of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicsPoint {
    /// Counted from the root, starting at 0.
    pub step: u64,
    /// Base rate, before the multipliers of parameter groups.
    pub learning_rate: f64,
    /// Norm of the whole gradient before clipping.
    pub grad_norm: f64,
    /// What the stage recorded beside these.
    pub measurements: Measurements,
}
