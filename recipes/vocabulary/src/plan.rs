//! Plans: the immutable stage tree that a campaign trains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoints::CheckpointPolicy;
use crate::dataset::Dataset;
use crate::evaluation::Evaluation;
use crate::id::{CampaignId, StageKey};
use crate::retries::Retries;
use crate::search::{Parameter, Search};
use crate::spec::StageSpec;
use crate::stage::Stage;
use crate::trial::Trial;
use crate::units::{Flops, Tokens};
use crate::work::Work;

/// An immutable plan: every number fixed before anything runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The campaign's identifier, from its name and trials.
    pub campaign: CampaignId,
    pub name: String,
    /// What it is for, from the recipe.
    pub description: String,
    /// The data, once it is prepared. A plan without data can be shown but not run, because its keys are not final.
    pub dataset: Option<Dataset>,
    /// Trials in the recipe's order.
    pub trials: Vec<Trial>,
    /// Stages, parents before children.
    pub stages: Vec<Stage>,
    /// What is measured on the last checkpoints of its stages, in the order it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
    /// How often stages are tried again. It is not part of the campaign's identity.
    #[serde(default)]
    pub retries: Retries,
    /// Which checkpoints are kept, and how often they are taken.
    #[serde(default)]
    pub checkpoints: CheckpointPolicy,
    /// If the campaign is a search: what decides on its later trials and stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Box<Search>>,
}

/// What a plan costs, and what it would cost if trials shared no stages.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Tokens trained, with each stage counted once.
    pub tokens: Tokens,
    /// Operations, with each stage counted once.
    pub flops: Flops,
    /// Tokens if every trial were trained from initial weights.
    pub tokens_unshared: Tokens,
    /// Operations if every trial were trained from initial weights.
    pub flops_unshared: Flops,
}

impl Plan {
    /// The stage with this key.
    #[must_use]
    pub fn stage(&self, key: &StageKey) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.key == *key)
    }

    /// Every node of its tree, parents before children.
    pub fn nodes(&self) -> impl Iterator<Item = Work> + '_ {
        let stages = self.stages.iter().cloned().map(Work::Train);
        stages.chain(self.evaluations.iter().cloned().map(Work::Evaluate))
    }

    /// The key of every node of its tree with that of its parent, parents before children.
    pub fn links(&self) -> impl DoubleEndedIterator<Item = (StageKey, Option<StageKey>)> + '_ {
        let stages = self.stages.iter().map(|stage| (stage.key, stage.parent));
        stages.chain(self.evaluations.iter().map(|evaluation| (evaluation.key, Some(evaluation.parent))))
    }

    /// The keys of all nodes of its tree, parents before children.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = StageKey> + '_ {
        self.links().map(|(key, _)| key)
    }

    /// Stages by key.
    #[must_use]
    pub fn stages_by_key(&self) -> BTreeMap<StageKey, &Stage> {
        self.stages.iter().map(|stage| (stage.key, stage)).collect()
    }

    /// The root that a stage descends from. Trials with the same root share a trunk, so their losses are correlated.
    #[must_use]
    pub fn root_of(&self, key: &StageKey) -> Option<StageKey> {
        let stages = self.stages_by_key();
        let mut stage = *stages.get(key)?;
        while let Some(parent) = stage.parent {
            stage = stages.get(&parent)?;
        }
        Some(stage.key)
    }

    /// The final number of trials. Those of a search are added over time.
    #[must_use]
    pub fn trials_in_the_end(&self) -> usize {
        self.search.as_ref().map_or(self.trials.len(), |search| search.trials as usize)
    }

    /// Whether a trial's path is complete. A trial of a search may not have got that far, and may never.
    #[must_use]
    pub fn is_whole(&self, trial: &Trial) -> bool {
        self.search.as_ref().is_none_or(|search| trial.path.len() == search.stage_ends().len())
    }

    /// The recipe keys that the search varies.
    pub fn searched(&self) -> impl Iterator<Item = Parameter> {
        self.search.iter().flat_map(|search| search.space.iter().map(|dimension| dimension.parameter))
    }

    /// What it costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let stages = self.stages_by_key();
        let along = |trial: &Trial| -> Vec<&StageSpec> {
            trial.path.iter().filter_map(|key| stages.get(key)).map(|stage| &stage.spec).collect()
        };
        let unshared: Vec<_> = self.trials.iter().flat_map(along).collect();
        Cost {
            tokens: self.stages.iter().map(|stage| stage.spec.tokens()).sum(),
            flops: self.stages.iter().map(|stage| stage.spec.flops()).sum(),
            tokens_unshared: unshared.iter().map(|spec| spec.tokens()).sum(),
            flops_unshared: unshared.iter().map(|spec| spec.flops()).sum(),
        }
    }
}
