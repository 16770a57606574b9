//! What is added to a campaign after it was accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{CampaignId, StageKey, TrialId};
use crate::plan::Plan;
use crate::stage::Stage;
use crate::trial::Trial;

/// More trials for a campaign, and the stages they need. The campaign keeps its identifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Which campaign grows.
    pub campaign: CampaignId,
    /// The new trials, and those of a search that go on: their paths are longer than they were. Paths may begin with
    /// stages that the campaign has.
    pub trials: Vec<Trial>,
    /// The new stages, parents before children. A parent may be one that the campaign has.
    pub stages: Vec<Stage>,
    /// All trials in their order from now on, where the new ones do not come last. Trials that are not named come behind
    /// those that are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<TrialId>,
    /// How many trials the campaign's search has from now on, where that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_trials: Option<u32>,
}

impl Growth {
    /// A search gets more trials.
    #[must_use]
    pub fn of_search(campaign: CampaignId, trials: u32) -> Self {
        Self { campaign, trials: Vec::new(), stages: Vec::new(), order: Vec::new(), search_trials: Some(trials) }
    }

    /// Whether it adds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trials.is_empty() && self.stages.is_empty() && self.search_trials.is_none()
    }

    /// What of it a plan does not have yet: the same growth twice adds nothing the second time.
    #[must_use]
    pub fn beyond(self, plan: &Plan) -> Self {
        let trials: BTreeMap<TrialId, &Trial> = plan.trials.iter().map(|trial| (trial.id, trial)).collect();
        let goes_on = |trial: &Trial, known: &Trial| {
            trial.path.len() > known.path.len() && trial.path.starts_with(&known.path) && plan.search.is_some()
        };
        let is_new = |trial: &Trial| trials.get(&trial.id).is_none_or(|known| goes_on(trial, known));
        let stages: BTreeSet<StageKey> = plan.stages.iter().map(|stage| stage.key).collect();
        Self {
            trials: self.trials.into_iter().filter(is_new).collect(),
            stages: self.stages.into_iter().filter(|stage| !stages.contains(&stage.key)).collect(),
            search_trials: self.search_trials.filter(|trials| {
                plan.search.as_ref().is_some_and(|search| search.trials < *trials && search.can_have(*trials))
            }),
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

    /// Adds trials and stages, behind those that are there. Trials of a search that go on stay in their places.
    pub fn grow(&mut self, growth: &Growth) {
        self.stages.extend(growth.stages.iter().cloned());
        let places: BTreeMap<TrialId, usize> =
            self.trials.iter().enumerate().map(|(place, trial)| (trial.id, place)).collect();
        for trial in &growth.trials {
            match places.get(&trial.id) {
                Some(place) if self.search.is_some() => self.trials[*place] = trial.clone(),
                _ => self.trials.push(trial.clone()),
            }
        }
        if let (Some(search), Some(trials)) = (&mut self.search, growth.search_trials) {
            search.trials = trials;
        }
        let places: BTreeMap<TrialId, usize> =
            growth.order.iter().zip(0..).map(|(trial, place)| (*trial, place)).collect();
        self.trials.sort_by_key(|trial| places.get(&trial.id).copied().unwrap_or(usize::MAX));
    }
}
