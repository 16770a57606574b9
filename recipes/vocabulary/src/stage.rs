//! Stages: the nodes of the tree.

use serde::{Deserialize, Serialize};

use crate::id::StageKey;
use crate::spec::StageSpec;

/// What part a stage plays in the tree. It follows from the plan and decides nothing: it is not in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageRole {
    /// A stretch of a run that several trials have in common, or that one goes on from. In WSD it is at the peak
    /// learning rate.
    Trunk,
    /// A branch that decays to a final loss.
    Decay,
    /// A run of its own, from first step to last.
    Whole,
}

/// A node of the stage tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Its key.
    pub key: StageKey,
    /// The stage whose last checkpoint it starts from; `None` where it starts from initial weights.
    pub parent: Option<StageKey>,
    /// What it trains.
    pub spec: StageSpec,
    /// Its part in the tree.
    pub role: StageRole,
    /// The size it belongs to, as the recipe names it.
    pub size: String,
    /// The seed it belongs to, as the recipe numbers it.
    pub seed: u64,
}
