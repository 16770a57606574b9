//! What is added to a campaign after it has been accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
use crate::id::{CampaignId, StageKey, TrialId};
use crate::plan::Plan;
use crate::stage::Stage;
use crate::trial::Trial;
use crate::work::Work;

/// More trials for a campaign, and the stages they need, or evaluations. The campaign keeps its identifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// The campaign that grows.
    pub campaign: CampaignId,
    /// The new trials, and trials of a search whose paths have become longer. Paths may begin with stages that the campaign
    /// already has.
    pub trials: Vec<Trial>,
    /// The new stages, parents before children. A parent may be a stage that the campaign already has.
    pub stages: Vec<Stage>,
    /// New evaluations, of stages that the campaign has or that are new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
    /// The new order of all trials, unless the new ones simply come last. Trials that are not named follow those that
    /// are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<TrialId>,
    /// The new number of trials of the campaign's search, if that is larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_trials: Option<u32>,
}

impl Growth {
    /// Nothing yet.
    #[must_use]
    pub fn nothing(campaign: CampaignId) -> Self {
        let (trials, stages, evaluations, order) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { campaign, trials, stages, evaluations, order, search_trials: None }
    }

    /// Raises the number of trials of a search.
    #[must_use]
    pub fn of_search(campaign: CampaignId, trials: u32) -> Self {
        Self { search_trials: Some(trials), ..Self::nothing(campaign) }
    }

    /// The nodes it adds to the tree, parents before children.
    pub fn nodes(&self) -> impl Iterator<Item = Work> + '_ {
        let stages = self.stages.iter().cloned().map(Work::Train);
        stages.chain(self.evaluations.iter().cloned().map(Work::Evaluate))
    }

    /// Whether it adds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { campaign: _, trials, stages, evaluations, order: _, search_trials } = self;
        trials.is_empty() && stages.is_empty() && evaluations.is_empty() && search_trials.is_none()
    }

    /// The part of it that a plan does not have yet, so that the same growth adds nothing the second time.
    #[must_use]
    pub fn beyond(self, plan: &Plan) -> Self {
        let trials: BTreeMap<TrialId, &Trial> = plan.trials.iter().map(|trial| (trial.id, trial)).collect();
        let goes_on = |trial: &Trial, known: &Trial| {
            trial.path.len() > known.path.len() && trial.path.starts_with(&known.path) && plan.search.is_some()
        };
        let is_new = |trial: &Trial| trials.get(&trial.id).is_none_or(|known| goes_on(trial, known));
        let nodes: BTreeSet<StageKey> = plan.keys().collect();
        Self {
            trials: self.trials.into_iter().filter(is_new).collect(),
            stages: self.stages.into_iter().filter(|stage| !nodes.contains(&stage.key)).collect(),
            evaluations: self.evaluations.into_iter().filter(|added| !nodes.contains(&added.key)).collect(),
            search_trials: self.search_trials.filter(|trials| {
                plan.search.as_ref().is_some_and(|search| search.trials < *trials && search.can_have(*trials))
            }),
            ..self
        }
    }
}

impl Plan {
    /// The plan after the growth.
    #[must_use]
    pub fn grown(&self, growth: &Growth) -> Self {
        let mut plan = self.clone();
        plan.grow(growth);
        plan
    }

    /// Appends trials and stages. Trials of a search that have become longer keep their places.
    pub fn grow(&mut self, growth: &Growth) {
        self.stages.extend(growth.stages.iter().cloned());
        self.evaluations.extend(growth.evaluations.iter().cloned());
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
