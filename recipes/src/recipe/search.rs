//! The section `[search]` as written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use vocabulary::search::{Parameter, Sampler, Scale};

use super::conform;
use super::schema::schema;

/// A hyper-parameter search. The rest of the recipe describes the run that all trials vary: one size, one seed and one
/// amount of data. Its own values of the searched keys are not used.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRecipe {
    /// How settings are chosen.
    pub sampler: Sampler,
    /// Number of trials; raising it later continues the same search. A grid without it tries all combinations.
    #[schemars(range(min = 1, max = 2_000))]
    pub trials: Option<u32>,
    /// Selects other random choices.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: u64,
    /// About this many workers are kept busy: a trial is suggested without the results of this many trials before it.
    /// Because it is part of the search, the actual number of workers does not affect which trials there are.
    #[serde(default = "defaults::parallel")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: u32,
    /// The first trials of `tpe` are random: this many, 16 if absent.
    #[schemars(range(min = 1, max = 2_000))]
    pub startup: Option<u32>,
    /// The searched keys with their possible values.
    pub space: SpaceRecipe,
    /// Ends trials early. All trials run to their end if absent.
    pub pruner: Option<PrunerRecipe>,
}

/// The keys that can be searched.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpaceRecipe {
    /// `optimizer.peak_lr`.
    pub peak_lr: Option<RangeRecipe>,
    /// `model.scale_depth`.
    pub scale_depth: Option<RangeRecipe>,
    /// `model.scale_emb`.
    pub scale_emb: Option<RangeRecipe>,
    /// `model.init_std`.
    pub init_std: Option<RangeRecipe>,
    /// `model.d_base`.
    pub d_base: Option<RangeRecipe>,
    /// `optimizer.weight_decay`.
    pub weight_decay: Option<RangeRecipe>,
    /// `optimizer.beta1`.
    pub beta1: Option<RangeRecipe>,
    /// `optimizer.beta2`.
    pub beta2: Option<RangeRecipe>,
    /// `optimizer.eps`.
    pub eps: Option<RangeRecipe>,
    /// `optimizer.clip_norm`.
    pub clip_norm: Option<RangeRecipe>,
}

impl SpaceRecipe {
    /// The searched keys, in the order of the columns.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (Parameter, &RangeRecipe)> {
        let range = |parameter| match parameter {
            Parameter::PeakLr => &self.peak_lr,
            Parameter::ScaleDepth => &self.scale_depth,
            Parameter::ScaleEmb => &self.scale_emb,
            Parameter::InitStd => &self.init_std,
            Parameter::DBase => &self.d_base,
            Parameter::WeightDecay => &self.weight_decay,
            Parameter::Beta1 => &self.beta1,
            Parameter::Beta2 => &self.beta2,
            Parameter::Eps => &self.eps,
            Parameter::ClipNorm => &self.clip_norm,
        };
        Parameter::ALL.into_iter().filter_map(move |parameter| Some((parameter, range(parameter).as_ref()?)))
    }
}

/// Possible values of a key: `values`, or everything from `low` to `high`, or a selection of that.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeRecipe {
    /// Smallest value.
    #[schemars(range(min = 0.0, max = 1e9))]
    pub low: Option<f64>,
    /// Largest value.
    #[schemars(range(min = 0.0, max = 1e9))]
    pub high: Option<f64>,
    /// Whether distances between values are differences or ratios.
    #[serde(default)]
    pub scale: Scale,
    /// Restricts the range to `low` plus multiples of this. Not with `scale = "log"`.
    #[schemars(range(max = 1e9), extend("exclusiveMinimum" = 0.0))]
    pub step: Option<f64>,
    /// Restricts the range to this many values, including `low` and `high`, evenly spaced on the scale.
    #[schemars(range(min = 2, max = 1000))]
    pub levels: Option<u32>,
    /// These values, in ascending order.
    #[schemars(length(min = 1, max = 1000), inner(range(min = 0.0, max = 1e9)))]
    pub values: Option<Vec<f64>>,
}

/// Ends trials before their last step.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrunerRecipe {
    /// The pruning algorithm.
    pub kind: PrunerKind,
    /// One in this many trials at a rung continues.
    #[serde(default = "defaults::reduction")]
    #[schemars(range(min = 2, max = 100))]
    pub reduction: u32,
    /// Where trials are judged, as ascending fractions of the run. Either this or `min_fraction`.
    #[schemars(length(min = 1, max = 10), inner(range(min = 1e-6, max = 1.0)))]
    pub rungs: Option<Vec<f64>>,
    /// Where trials are first judged, as a fraction of the run; each later rung is `reduction` times as far. Rungs that
    /// would lie in the decay are left out.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub min_fraction: Option<f64>,
}

/// The available pruners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrunerKind {
    /// Asynchronous successive halving.
    Asha,
}

/// The limits of a searched key, as for the key in the recipe itself.
pub(crate) fn limits_of(parameter: Parameter) -> Limits {
    let mut key = schema()["properties"][parameter.table()]["properties"][parameter.name()].take();
    Limits(if key["items"].is_object() { key["items"].take() } else { key })
}

/// The limits of one number.
pub(crate) struct Limits(Value);

impl Limits {
    pub(crate) fn accepts(&self, number: f64) -> bool {
        conform::is_within(number, &self.0)
    }

    /// What is accepted, in words.
    pub(crate) fn accepted(&self) -> String {
        conform::accepted(&self.0)
    }
}

mod defaults {
    pub(super) fn parallel() -> u32 {
        4
    }
    pub(super) fn reduction() -> u32 {
        3
    }
}
