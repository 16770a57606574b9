//! A search with every number fixed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::asha::Asha;
use super::settings::Settings;
use super::space::Dimension;
use crate::id::{CampaignId, TrialId};
use crate::schedule::LrSchedule;
use crate::spec::StageSpec;
use crate::stage::{Stage, StageRole};
use crate::units::Tokens;

/// How a search chooses the settings of its next trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Every combination of the values once, in an order that the seed shuffles.
    Grid,
    /// Independent draws from the space.
    Random,
    /// A Tree-structured Parzen Estimator: at random at first, then where good trials are denser than the others.
    Tpe,
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Tpe => "tpe",
        })
    }
}

/// A search: what is tried, how it is chosen, and what it is a variation of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// How settings are chosen.
    pub sampler: Sampler,
    /// The final number of trials.
    pub trials: u32,
    /// Seed of the sampler.
    pub seed: u64,
    /// A trial may be suggested without the results of this many trials before it, which keeps about as many workers busy.
    pub parallel: u32,
    /// The number of random trials that TPE begins with.
    pub startup: u32,
    /// The searched keys.
    pub space: Vec<Dimension>,
    /// What ends trials early, if anything.
    pub pruner: Option<Asha>,
    /// What all trials have in common.
    pub base: SearchBase,
}

/// What all trials of a search have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchBase {
    /// The name of the model size in the recipe.
    pub size: String,
    /// The seed in the recipe.
    pub seed: u64,
    /// N: non-embedding parameters.
    pub n: u64,
    /// The tokens that the recipe asked for.
    pub nominal: Tokens,
    /// The whole run as one stage, with the recipe's own settings.
    pub whole: StageSpec,
}

impl Search {
    /// The campaign's identifier, from its name and everything but the number of trials, which can be raised later.
    #[must_use]
    pub fn campaign(&self, name: &str) -> CampaignId {
        let endless = Self { trials: 0, ..self.clone() };
        let search = serde_json::to_vec(&endless).expect("a search always has a JSON form");
        CampaignId::from_content(&[name.as_bytes(), b"\0search\0", &search].concat())
    }

    /// The number of combinations of values; `None` if a range is continuous, or on overflow.
    #[must_use]
    pub fn combinations(&self) -> Option<usize> {
        self.space.iter().try_fold(1_usize, |product, dimension| product.checked_mul(dimension.values.count()?))
    }

    /// The steps at which trials are judged, and the last step.
    #[must_use]
    pub fn ends(&self) -> Vec<u64> {
        let rungs = self.pruner.as_ref().map_or(&[][..], |asha| &asha.rungs);
        rungs.iter().copied().chain([self.base.whole.steps.end]).collect()
    }

    /// The steps at which the stages of a trial end: where it is judged, and where its decay starts.
    #[must_use]
    pub fn stage_ends(&self) -> Vec<u64> {
        let decay_start = match self.base.whole.schedule {
            LrSchedule::Wsd { decay_start, .. } => Some(decay_start).filter(|start| *start > 0),
            _ => None,
        };
        let mut ends: Vec<u64> = self.ends().into_iter().chain(decay_start).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The stages of a whole trial, cut where it is judged and where its decay starts, and the identifier that follows.
    #[must_use]
    pub fn path(&self, settings: &Settings) -> (TrialId, Vec<Stage>) {
        let mut whole = self.base.whole.clone();
        for (parameter, value) in settings {
            parameter.set(*value, &mut whole);
        }
        let ends = self.stage_ends();
        let is_whole = ends.len() == 1;
        let mut path: Vec<Stage> = Vec::new();
        for end in ends {
            let steps = path.last().map_or(0, |stage| stage.spec.steps.end)..end;
            let schedule = whole.schedule.restricted_to(&steps);
            let spec = StageSpec { steps, schedule, ..whole.clone() };
            let parent = path.last().map(|stage| stage.key);
            let role = match spec.schedule {
                _ if is_whole => StageRole::Whole,
                LrSchedule::Wsd { .. } => StageRole::Decay,
                _ => StageRole::Trunk,
            };
            let (size, seed) = (self.base.size.clone(), self.base.seed);
            path.push(Stage { key: spec.key(parent.as_ref()), parent, spec, role, size, seed });
        }
        let last = path.last().expect("a run has steps");
        (TrialId::from_content(last.key.as_bytes()), path)
    }
}
