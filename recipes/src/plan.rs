//! Plans: the immutable stage tree a recipe expands to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checkpoints::CheckpointPolicy;
use crate::id::{CampaignId, DatasetId, StageKey, TrialId};
use crate::retries::Retries;
use crate::search::{Parameter, Search, Settings};
use crate::stage::StageSpec;
use crate::units::{Flops, Tokens};

/// What a plan needs to know of the prepared data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its content.
    pub id: DatasetId,
    /// Entries of its tokenizer.
    pub vocab: u32,
    /// Tokens to train on.
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Bytes of text behind `train_tokens`.
    pub train_bytes: u64,
    /// Bytes of text behind `validation_tokens`.
    pub validation_bytes: u64,
    /// Which text it is, in words for the report: `toolchain-docs`, or the globs.
    pub sources: Vec<String>,
    /// Its domains, where it has several; what is said above is then of all of them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A domain of a dataset: text that is drawn from, and measured on, by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name, as the recipe has it.
    pub name: String,
    /// Tokens to train on.
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Bytes of text behind `train_tokens`.
    pub train_bytes: u64,
    /// Bytes of text behind `validation_tokens`.
    pub validation_bytes: u64,
}

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

/// An immutable plan: every number fixed before anything runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The campaign's identifier, from its name and trials.
    pub campaign: CampaignId,
    /// Its name.
    pub name: String,
    /// What it is for, in the recipe's words.
    pub description: String,
    /// The data, once it is prepared. A plan without it can be read but not run: its keys are not final.
    pub dataset: Option<Dataset>,
    /// Trials in the recipe's order.
    pub trials: Vec<Trial>,
    /// Stages, parents before children.
    pub stages: Vec<Stage>,
    /// How patient it is. It is no part of the campaign's identity.
    #[serde(default)]
    pub retries: Retries,
    /// What becomes of checkpoints.
    #[serde(default)]
    pub checkpoints: CheckpointPolicy,
    /// What decides on trials and stages that come later, where the campaign is a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Box<Search>>,
}

/// What a plan costs, and what it would cost without sharing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cost {
    /// Tokens trained, each stage once.
    pub tokens: Tokens,
    /// Operations, each stage once.
    pub flops: Flops,
    /// Tokens if every trial were trained from its own initial weights.
    pub tokens_unshared: Tokens,
    /// Operations, likewise.
    pub flops_unshared: Flops,
}

impl Plan {
    /// The stage of a key.
    #[must_use]
    pub fn stage(&self, key: &StageKey) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.key == *key)
    }

    /// Stages by key.
    #[must_use]
    pub fn stages_by_key(&self) -> BTreeMap<StageKey, &Stage> {
        self.stages.iter().map(|stage| (stage.key, stage)).collect()
    }

    /// The first stage of the path a stage lies on: trials with the same root share a trunk, and with it its luck.
    #[must_use]
    pub fn root_of(&self, key: &StageKey) -> Option<StageKey> {
        let stages = self.stages_by_key();
        let mut stage = *stages.get(key)?;
        while let Some(parent) = stage.parent {
            stage = stages.get(&parent)?;
        }
        Some(stage.key)
    }

    /// How many trials it comes to: those of a search come one after another.
    #[must_use]
    pub fn trials_in_the_end(&self) -> usize {
        self.search.as_ref().map_or(self.trials.len(), |search| search.trials as usize)
    }

    /// Whether a trial's last stage is that of its whole run. A trial of a search may not have come that far, and may never.
    #[must_use]
    pub fn is_whole(&self, trial: &Trial) -> bool {
        self.search.as_ref().is_none_or(|search| trial.path.len() == search.stage_ends().len())
    }

    /// The keys that a search gives its trials values for.
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
