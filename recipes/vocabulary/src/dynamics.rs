//! How gradients and weights move from one step to the next: what section 4.3 of the MiniCPM paper looks at, to explain why
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

/// What a stage records beside its losses. Its numbers are the same with and without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// [`Dynamics`] of every step.
    Dynamics,
}

/// What is recorded of a step. A division by zero, such as by the length of a zero update, gives NaN; so does a NaN
/// gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dynamics {
    /// The largest element of the gradient before clipping, without its sign.
    pub largest_gradient: f64,
    /// What compares the step with the one before it; `None` where that one was not recorded.
    pub consecutive: Option<Consecutive>,
    /// The largest change of a weight in this step.
    pub updates: LargestUpdates,
}

/// A step beside the one before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Consecutive {
    /// Inner product of their gradients.
    pub product: f64,
    /// Cosine of the angle between their gradients.
    pub cosine: f64,
    /// D1 in the paper: the gradient along the direction of the last update.
    pub d1: f64,
    /// D2 in the paper: the change of the gradient along that direction, by the length of the update.
    pub d2: f64,
}

impl Consecutive {
    /// K in the paper: the curvature of the loss along the last update.
    #[must_use]
    pub fn curvature(&self) -> f64 {
        self.d2.abs() / (1.0 + self.d1 * self.d1).powf(1.5)
    }
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

/// The largest change of a single weight, without its sign, for each kind of parameter that a model has.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LargestUpdates([Option<f64>; ParamKind::ALL.len()]);

impl LargestUpdates {
    /// By kind, in the order of [`ParamKind::ALL`].
    #[must_use]
    pub fn new(by_kind: [Option<f64>; ParamKind::ALL.len()]) -> Self {
        Self(by_kind)
    }

    /// By kind, in the order of [`ParamKind::ALL`].
    #[must_use]
    pub fn by_kind(&self) -> [Option<f64>; ParamKind::ALL.len()] {
        self.0
    }

    /// Of the parameters of this kind; `None` where the model has none.
    #[must_use]
    pub fn of(&self, kind: ParamKind) -> Option<f64> {
        self.0[kind as usize]
    }

    /// Notes a change.
    pub fn add(&mut self, kind: ParamKind, change: f64) {
        let known = &mut self.0[kind as usize];
        *known = Some(known.map_or(change, |known| larger(known, change)));
    }

    /// Of all parameters.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.0.into_iter().flatten().fold(0.0, larger)
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
    fn what_is_no_number_is_larger_than_all() {
        let mut updates = LargestUpdates::default();
        updates.add(ParamKind::Down, 2.0);
        updates.add(ParamKind::Down, 1.0);
        assert_eq!(
            (updates.of(ParamKind::Down), updates.of(ParamKind::Head), updates.largest()),
            (Some(2.0), None, 2.0)
        );
        for change in [f64::NAN, 3.0] {
            updates.add(ParamKind::Down, change);
            assert!(updates.largest().is_nan());
        }
    }

    #[test]
    fn a_parabola_has_the_curvature_of_its_tip() {
        // The loss a x^2 / 2 has the gradient a x: at its tip, D1 is 0, D2 and the curvature are a.
        let (a, before, after) = (3.0, -0.5, 0.0);
        let update: f64 = after - before;
        let d1 = a * after * update.signum();
        let d2 = (a * after - a * before) / update;
        assert_eq!(Consecutive { product: 0.0, cosine: 0.0, d1, d2 }.curvature(), a);
    }
}
