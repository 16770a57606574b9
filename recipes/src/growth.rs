//! What is added to a campaign after it was accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{CampaignId, StageKey, TrialId};
use crate::plan::{Plan, Stage, Trial};
use crate::recipe::error::RecipeError;

/// Why a recipe is not what a campaign can grow to.
#[derive(Debug, thiserror::Error)]
pub enum GrowthError {
    /// The plan is one without data, which was never accepted.
    #[error("{campaign} has no prepared dataset")]
    NoDataset {
        /// Whose plan.
        campaign: CampaignId,
    },
    /// The recipe has another name.
    #[error("the recipe is that of `{recipe}`, and the campaign is named `{campaign}`")]
    OtherName {
        /// The recipe's.
        recipe: String,
        /// The campaign's.
        campaign: String,
    },
    /// The recipe cannot be expanded over the campaign's data.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

/// More trials for a campaign, and the stages they need. The campaign keeps its identifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Which campaign grows.
    pub campaign: CampaignId,
    /// The new trials. Their paths may begin with stages that the campaign has.
    pub trials: Vec<Trial>,
    /// The new stages, parents before children. A parent may be one that the campaign has.
    pub stages: Vec<Stage>,
    /// All trials in their order from now on, where the new ones do not come last. Trials that are not named come behind
    /// those that are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<TrialId>,
}

impl Growth {
    /// Whether it adds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trials.is_empty() && self.stages.is_empty()
    }

    /// What of it a plan does not have yet: the same growth twice adds nothing the second time.
    #[must_use]
    pub fn beyond(self, plan: &Plan) -> Self {
        let trials: BTreeSet<TrialId> = plan.trials.iter().map(|trial| trial.id).collect();
        let stages: BTreeSet<StageKey> = plan.stages.iter().map(|stage| stage.key).collect();
        Self {
            trials: self.trials.into_iter().filter(|trial| !trials.contains(&trial.id)).collect(),
            stages: self.stages.into_iter().filter(|stage| !stages.contains(&stage.key)).collect(),
            ..self
        }
    }
}

impl Plan {
    /// The plan once it has grown.
    #[must_use]
    pub fn grown(&self, growth: &Growth) -> Self {
        let mut plan = self.clone();
        plan.grow(growth);
        plan
    }

    /// Adds trials and stages, behind those that are there.
    pub fn grow(&mut self, growth: &Growth) {
        self.stages.extend(growth.stages.iter().cloned());
        self.trials.extend(growth.trials.iter().cloned());
        let places: BTreeMap<TrialId, usize> =
            growth.order.iter().zip(0..).map(|(trial, place)| (*trial, place)).collect();
        self.trials.sort_by_key(|trial| places.get(&trial.id).copied().unwrap_or(usize::MAX));
    }
}
