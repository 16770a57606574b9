//! What figures know of a campaign's stages.

use std::ops::Range;

/// The stages of a campaign, and the runs they belong to: what begins with one root, its branches included.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Runs {
    /// In the order of their roots.
    pub runs: Vec<Run>,
    /// Each behind its parent.
    pub stages: Vec<Stage>,
    /// Whether the recipe has arms.
    pub has_arms: bool,
    /// Whether the campaign is a search.
    pub is_search: bool,
}

/// What begins with one root.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What tells it from the others: its size, with arm, seed and learning rate as far as there are several. Runs of one
    /// model have one label.
    pub label: String,
    /// N: non-embedding parameters.
    pub n: f64,
}

/// A stage as a line in a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The number of its run.
    pub run: usize,
    /// The number of the stage it starts from.
    pub parent: Option<usize>,
    /// Whether it takes a model to a loss, rather than being a trunk.
    pub is_decay: bool,
    /// Its size, as the recipe names it.
    pub size: String,
    /// The short form of its key.
    pub key: String,
    /// Its steps, counted from the root.
    pub steps: Range<u64>,
    /// Tokens of one step.
    pub tokens_per_step: u64,
    /// Operations it takes.
    pub flops: f64,
}

/// What a trial ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// The number of its run.
    pub run: usize,
    /// The number of its last stage.
    pub stage: usize,
    /// Its size, as the recipe names it.
    pub size: String,
    /// Its arm, where the recipe has arms.
    pub arm: Option<String>,
    /// Its seed, as the recipe numbers it.
    pub seed: u64,
    /// Its peak learning rate.
    pub peak_lr: f64,
    /// D: every token it was trained on.
    pub d: u64,
    /// On held-out text, nats a token.
    pub loss: f64,
    /// Whether the learning rate had come down.
    pub decayed: bool,
}

impl Stage {
    /// Whether it leaves a trunk for a loss.
    #[must_use]
    pub fn is_branch(&self) -> bool {
        self.parent.is_some() && self.is_decay
    }
}
