//! Stages: the nodes of the tree.

use serde::{Deserialize, Serialize};

use crate::id::StageKey;
use crate::spec::StageSpec;

/// The part that a stage plays in the tree. It follows from the plan and is for people only, so it is not in the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageRole {
    /// A stretch that several trials share, or that one continues from. In WSD it is at the peak learning rate.
    Trunk,
    /// A branch that decays the learning rate to a final loss.
    Decay,
    /// A whole run in one stage.
    Whole,
}

impl StageRole {
    /// The role as a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trunk => "trunk",
            Self::Decay => "decay",
            Self::Whole => "whole",
        }
    }
}

/// A node of the stage tree that is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub key: StageKey,
    /// The stage whose last checkpoint it starts from; `None` if it starts from initial weights.
    pub parent: Option<StageKey>,
    /// What it trains.
    pub spec: StageSpec,
    /// The part it plays.
    pub role: StageRole,
    /// The name of its model size in the recipe.
    pub size: String,
    /// Its seed in the recipe.
    pub seed: u64,
}
