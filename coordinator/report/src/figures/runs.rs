//! A campaign's stages, as far as figures need them.

use std::ops::Range;

/// The stages of a campaign, grouped into runs: a root with everything that descends from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs {
    /// In the order of their roots.
    pub runs: Vec<Run>,
    /// Parents come before children.
    pub stages: Vec<Stage>,
    /// Whether the recipe has arms.
    pub has_arms: bool,
    /// Whether the campaign is a search.
    pub is_search: bool,
}

/// A root with everything that descends from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its label: the size, with arm, seed and learning rate where there are several. Runs of one model share a label.
    pub label: String,
    /// N: non-embedding parameters.
    pub n: f64,
}

/// A stage, as figures draw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The index of its run.
    pub run: usize,
    /// The index of its parent.
    pub parent: Option<usize>,
    /// Whether it is a decay rather than a trunk.
    pub is_decay: bool,
    /// Its size, as the recipe names it.
    pub size: String,
    /// The short form of its key.
    pub key: String,
    /// Its steps, counted from the root.
    pub steps: Range<u64>,
    pub tokens_per_step: u64,
    /// Its cost in operations.
    pub flops: f64,
}

/// How far a stage has got, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The step after the last one that was trained, counted from the root; the stage's first if none was.
    pub trained_to: u64,
    /// What became of it.
    pub state: State,
}

/// What became of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum State {
    Completed,
    /// It waits or runs.
    Open,
    Diverged,
    GivenUp,
    NotRun,
}

/// The end of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The index of its run.
    pub run: usize,
    /// The index of its last stage.
    pub stage: usize,
    /// Its size, as the recipe names it.
    pub size: String,
    /// Its arm, if the recipe has arms.
    pub arm: Option<String>,
    /// Its seed, as the recipe numbers it.
    pub seed: u64,
    /// Its peak learning rate.
    pub peak_lr: f64,
    /// D: all tokens it was trained on.
    pub d: u64,
    /// Held-out loss, nats a token.
    pub loss: f64,
    /// Whether its learning rate had decayed.
    pub decayed: bool,
}

impl Stage {
    /// Whether it branches off a trunk.
    #[must_use]
    pub fn is_branch(&self) -> bool {
        self.parent.is_some() && self.is_decay
    }
}
