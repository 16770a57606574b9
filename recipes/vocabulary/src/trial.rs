//! Trials: the points of a campaign.

use serde::{Deserialize, Serialize};

use crate::id::{StageKey, TrialId};
use crate::search::Settings;
use crate::units::Tokens;

/// One point of a campaign: a model trained to one final loss, as a path of stages from the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its name, from its last stage.
    pub id: TrialId,
    /// The size, as the recipe names it.
    pub size: String,
    /// The seed, as the recipe numbers it.
    pub seed: u64,
    /// The arm, as the recipe names it, where it has arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// N: non-embedding parameters.
    pub n: u64,
    /// D: every token the model is trained on, the decay's included.
    pub d: Tokens,
    /// The amount of data the recipe asked for. It is `d` up to rounding where the decay counts inside, and the stable
    /// tokens alone where it counts after.
    pub nominal: Tokens,
    /// Its stages, from the root. A trial of a search has those that exist by now.
    pub path: Vec<StageKey>,
    /// What a search gave it in the place of the recipe's values.
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
