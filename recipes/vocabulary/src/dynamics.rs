//! How gradients and weights move from one step to the next: what section 4.4 of the MiniCPM paper looks at, to explain why
//! the loss falls when the learning rate decays.
//!
//! With the gradient g(t) of a step before it is clipped, all parameters in one vector x(t) before that step, and the
//! update v(t) = x(t+1) - x(t):
//!
//! ```text
//! product   g(t) . g(t-1)
//! cosine    g(t) . g(t-1) / (|g(t)| |g(t-1)|)
//! d1        g(t) . v(t-1) / |v(t-1)|                   slope along the last update
//! d2        (g(t) - g(t-1)) . v(t-1) / |v(t-1)|^2      how fast it changes
//! K         |d2| / (1 + d1^2)^(3/2)                    curvature
//! ```

use serde::{Deserialize, Serialize};

use crate::measure::metrics::{D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE};
use crate::measure::{Measurements, Metric};

/// What a stage records beside its losses. Its numbers are the same with and without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// [`METRICS`] of every step.
    Dynamics,
}

/// The metrics that a stage records of its dynamics. Those that compare a step with the one before are absent if that one was
/// not recorded. Dividing by zero, as by the length of an update that changed nothing, gives NaN.
pub const METRICS: [Metric; 6] = [LARGEST_GRADIENT, GRADIENT_PRODUCT, GRADIENT_COSINE, D1, D2, LARGEST_UPDATE];

/// K in the paper: curvature of the loss along the last update. `None` if D1 and D2 were not measured.
#[must_use]
pub fn curvature(recorded: &Measurements) -> Option<f64> {
    let (d1, d2) = (recorded.get(D1)?, recorded.get(D2)?);
    Some(d2.abs() / (1.0 + d1 * d1).powf(1.5))
}

/// Largest absolute change of a single weight of any kind. `None` if it was not measured.
#[must_use]
pub fn largest_update(recorded: &Measurements) -> Option<f64> {
    recorded.parts_of(LARGEST_UPDATE).map(|(_, change)| change).reduce(larger)
}

/// The kinds of parameters that train alike, in the order in which a token meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParamKind {
    /// The table of the tokens.
    Embedding,
    /// Queries, keys and values.
    Qkv,
    /// The output of attention.
    AttentionOut,
    /// Gate and up of the feed-forward layer.
    GateUp,
    /// Down of the feed-forward layer.
    Down,
    /// The gains of RMSNorm.
    Gain,
    /// A head that is not the table of the tokens.
    Head,
}

impl ParamKind {
    pub const ALL: [Self; 7] =
        [Self::Embedding, Self::Qkv, Self::AttentionOut, Self::GateUp, Self::Down, Self::Gain, Self::Head];

    /// As columns and figures call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Qkv => "qkv",
            Self::AttentionOut => "attention_out",
            Self::GateUp => "gate_up",
            Self::Down => "down",
            Self::Gain => "gain",
            Self::Head => "head",
        }
    }

    /// That of the parameter of a path, such as `blocks.0.mlp.down`.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let (layer, part) = path.rsplit_once('.').unwrap_or(("", path));
        Some(match (layer.rsplit('.').next().unwrap_or_default(), part) {
            ("", "embedding") => Self::Embedding,
            ("", "head") => Self::Head,
            ("attention", "qkv") => Self::Qkv,
            ("attention", "out") => Self::AttentionOut,
            ("mlp", "gate_up") => Self::GateUp,
            ("mlp", "down") => Self::Down,
            (_, "gain") => Self::Gain,
            _ => return None,
        })
    }
}

/// The larger of two, or NaN if either is NaN.
#[must_use]
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a >= b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelSpec;
    use crate::sample;

    #[test]
    fn every_parameter_is_of_a_kind() {
        let model = ModelSpec { tied: false, ..sample::model() };
        let paths = model.param_groups().iter().flat_map(|group| group.paths().collect::<Vec<_>>()).collect::<Vec<_>>();
        let mut kinds: Vec<ParamKind> =
            paths.iter().map(|path| ParamKind::of(path).unwrap_or_else(|| panic!("{path}"))).collect();
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds, ParamKind::ALL);
        assert_eq!([ParamKind::of("blocks.0.mlp"), ParamKind::of("mlp.embedding")], [None, None]);
    }

    #[test]
    fn the_largest_update_is_that_of_all_kinds_and_nan_counts_as_the_largest() {
        let update = |kind: ParamKind| LARGEST_UPDATE.part(kind.name());
        let recorded = Measurements::new().with(update(ParamKind::Down), 2.0).with(update(ParamKind::Gain), 1.0);
        assert_eq!([largest_update(&recorded), largest_update(&Measurements::new())], [Some(2.0), None]);
        let unbounded = recorded.with(update(ParamKind::Embedding), f64::NAN);
        assert!(largest_update(&unbounded).is_some_and(f64::is_nan));
        assert!([larger(f64::NAN, 1.0), larger(1.0, f64::NAN)].into_iter().all(f64::is_nan));
    }

    #[test]
    fn a_parabola_has_the_curvature_of_its_tip() {
        // The loss a x^2 / 2 has the gradient a x: at its tip, D1 is 0, D2 and the curvature are a.
        let (a, before, after) = (3.0, -0.5, 0.0);
        let update: f64 = after - before;
        let d1 = a * after * update.signum();
        let d2 = (a * after - a * before) / update;
        assert_eq!(curvature(&Measurements::new().with(D1, d1).with(D2, d2)), Some(a));
        assert_eq!(curvature(&Measurements::new().with(D1, d1)), None);
    }
}
