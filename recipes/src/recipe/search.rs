//! The section `[search]` as it is written.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use vocabulary::search::{Parameter, Sampler, Scale};

use super::conform;
use super::schema::schema;

/// A search of hyper-parameters. The rest of the recipe says what is tried with them: one size, one seed and one amount of
/// data. What it says of the searched keys themselves is not used.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchRecipe {
    /// How settings are chosen.
    pub sampler: Sampler,
    /// How many trials there are; more of them later go on with the same search. All combinations of a grid, if absent.
    #[schemars(range(min = 1, max = 2_000))]
    pub trials: Option<u32>,
    /// Another seed makes other choices.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: u64,
    /// About how many workers are kept busy: a trial is suggested without the results of the so many before it. It decides
    /// which trials there are, so that the number of workers does not.
    #[serde(default = "defaults::parallel")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallel: u32,
    /// The first so many trials of `tpe` are random: 16, if absent.
    #[schemars(range(min = 1, max = 2_000))]
    pub startup: Option<u32>,
    /// The keys that are searched, and what each may be.
    pub space: SpaceRecipe,
    /// What ends trials early. All go to their end, if absent.
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
    /// The keys that are searched, in the order of the columns.
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

/// What a key may be: `values`, or all from `low` to `high`, or some of those.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeRecipe {
    /// The least.
    #[schemars(range(min = 0.0, max = 1e9))]
    pub low: Option<f64>,
    /// The largest.
    #[schemars(range(min = 0.0, max = 1e9))]
    pub high: Option<f64>,
    /// Whether values are as far apart as their difference says, or as their ratio does.
    #[serde(default)]
    pub scale: Scale,
    /// Only `low`, and what is whole steps above it. Not with `scale = "log"`.
    #[schemars(range(max = 1e9), extend("exclusiveMinimum" = 0.0))]
    pub step: Option<f64>,
    /// Only so many values, `low` and `high` among them, equally far apart on the scale.
    #[schemars(range(min = 2, max = 1000))]
    pub levels: Option<u32>,
    /// These values, in ascending order.
    #[schemars(length(min = 1, max = 1000), inner(range(min = 0.0, max = 1e9)))]
    pub values: Option<Vec<f64>>,
}

/// What ends trials before their end.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrunerRecipe {
    /// Its name.
    pub kind: PrunerKind,
    /// One of so many trials at a rung goes on.
    #[serde(default = "defaults::reduction")]
    #[schemars(range(min = 2, max = 100))]
    pub reduction: u32,
    /// Where trials are judged, as fractions of the run in ascending order. Either this or `min_fraction`.
    #[schemars(length(min = 1, max = 10), inner(range(min = 1e-6, max = 1.0)))]
    pub rungs: Option<Vec<f64>>,
    /// Where trials are judged first, as a fraction of the run; each rung after it is `reduction` times as far. Those that
    /// would lie in the decay are left out.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub min_fraction: Option<f64>,
}

/// Pruners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrunerKind {
    /// Asynchronous successive halving.
    Asha,
}

/// The limits that a searched key has where the recipe says it itself.
pub(crate) fn limits_of(parameter: Parameter) -> Limits {
    let mut key = schema()["properties"][parameter.table()]["properties"][parameter.name()].take();
    Limits(if key["items"].is_object() { key["items"].take() } else { key })
}

/// Of one number.
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
