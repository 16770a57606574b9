//! Trials: the points of a campaign.

use serde::{Deserialize, Serialize};

use crate::id::{StageKey, TrialId};
use crate::search::Settings;
use crate::units::Tokens;

/// One point of a campaign: a model trained to one final loss, as a path of stages from the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// A hash of its last stage, and of its arm.
    pub id: TrialId,
    /// The name of its model size in the recipe.
    pub size: String,
    /// Its seed in the recipe.
    pub seed: u64,
    /// The name of its arm, if the recipe has arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// N: non-embedding parameters.
    pub n: u64,
    /// D: all tokens that the model is trained on, those of the decay included.
    pub d: Tokens,
    /// The tokens that the recipe asked for. Up to rounding they are `d` if the decay counts inside them, and the tokens
    /// before the decay if it comes after.
    pub nominal: Tokens,
    /// Its stages, from the root. For a trial of a search, the stages that exist so far.
    pub path: Vec<StageKey>,
    /// The values that a search gave it, which replace those of the recipe.
    #[serde(default, skip_serializing_if = "Settings::is_empty")]
    pub settings: Settings,
}

impl Trial {
    /// The stage that ends with the trial's loss.
    #[must_use]
    pub fn last_stage(&self) -> &StageKey {
        self.path.last().expect("a trial has at least one stage")
    }
}
