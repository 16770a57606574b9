//! What is searched: the keys, and the values each may have.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::StageSpec;

/// A recipe key that can be searched: a number that affects neither the shape, nor the data, nor the length of a run, so
/// that all trials cost the same and are measured on the same tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// `optimizer.peak_lr`.
    PeakLr,
    /// `model.scale_depth`.
    ScaleDepth,
    /// `model.scale_emb`.
    ScaleEmb,
    /// `model.init_std`.
    InitStd,
    /// `model.d_base`.
    DBase,
    /// `optimizer.weight_decay`.
    WeightDecay,
    /// `optimizer.beta1`.
    Beta1,
    /// `optimizer.beta2`.
    Beta2,
    /// `optimizer.eps`.
    Eps,
    /// `optimizer.clip_norm`.
    ClipNorm,
}

/// The name of a key that cannot be searched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be searched")]
pub struct UnknownParameter(pub String);

impl Parameter {
    /// All of them, in the order of columns.
    pub const ALL: [Self; 10] = [
        Self::PeakLr,
        Self::ScaleDepth,
        Self::ScaleEmb,
        Self::InitStd,
        Self::DBase,
        Self::WeightDecay,
        Self::Beta1,
        Self::Beta2,
        Self::Eps,
        Self::ClipNorm,
    ];

    /// The key without its table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PeakLr => "peak_lr",
            Self::ScaleDepth => "scale_depth",
            Self::ScaleEmb => "scale_emb",
            Self::InitStd => "init_std",
            Self::DBase => "d_base",
            Self::WeightDecay => "weight_decay",
            Self::Beta1 => "beta1",
            Self::Beta2 => "beta2",
            Self::Eps => "eps",
            Self::ClipNorm => "clip_norm",
        }
    }

    /// The table of the recipe that holds the key.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::ScaleDepth | Self::ScaleEmb | Self::InitStd | Self::DBase => "model",
            _ => "optimizer",
        }
    }

    /// Whether it takes only whole numbers.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::DBase
    }

    /// Sets the value in a spec.
    pub fn set(self, value: f64, spec: &mut StageSpec) {
        let scalings = &mut spec.model.tensor_program;
        match self {
            Self::PeakLr => spec.peak_lr = value,
            Self::ScaleDepth => scalings.scale_depth = value,
            Self::ScaleEmb => scalings.scale_emb = value,
            Self::InitStd => scalings.init_std = value,
            Self::DBase => scalings.d_base = value as u32,
            Self::WeightDecay => spec.optimizer.weight_decay = value,
            Self::Beta1 => spec.optimizer.beta1 = value,
            Self::Beta2 => spec.optimizer.beta2 = value,
            Self::Eps => spec.optimizer.eps = value,
            Self::ClipNorm => spec.optimizer.clip_norm = value,
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Parameter {
    type Err = UnknownParameter;

    fn from_str(name: &str) -> Result<Self, UnknownParameter> {
        let found = Self::ALL.into_iter().find(|parameter| parameter.name() == name);
        found.ok_or_else(|| UnknownParameter(name.to_owned()))
    }
}

/// One searched key with its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// The key.
    pub parameter: Parameter,
    /// The values it may take.
    pub values: Values,
}

/// How the distance between two values of a range is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// By their difference.
    #[default]
    Linear,
    /// By their ratio.
    Log,
}

/// The values that a key may take. Samplers see each value as a place between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Values {
    /// Any number in a range.
    Between {
        /// The smallest value.
        low: f64,
        /// The largest value.
        high: f64,
        /// How distances are measured.
        scale: Scale,
    },
    /// These and no others, in ascending order.
    Levels {
        /// The values, without duplicates.
        levels: Vec<f64>,
    },
}

impl Values {
    /// The value at a place.
    #[must_use]
    pub fn at(&self, place: f64) -> f64 {
        match self {
            Self::Between { low, high, scale: Scale::Linear } => rounded(low + place * (high - low)).clamp(*low, *high),
            Self::Between { low, high, scale: Scale::Log } => {
                rounded(low * (high / low).powf(place)).clamp(*low, *high)
            }
            Self::Levels { levels } => {
                let index = (place.max(0.0) * levels.len() as f64) as usize;
                levels.get(index).or(levels.last()).copied().unwrap_or(f64::NAN)
            }
        }
    }

    /// The place of a value; that of a level is the middle of its share.
    #[must_use]
    pub fn place(&self, value: f64) -> f64 {
        match self {
            Self::Between { low, high, .. } if low == high => 0.5,
            Self::Between { low, high, scale: Scale::Linear } => (value - low) / (high - low),
            Self::Between { low, high, scale: Scale::Log } => (value / low).ln() / (high / low).ln(),
            Self::Levels { levels } => {
                let index = levels.iter().position(|level| *level == value).unwrap_or_default();
                (index as f64 + 0.5) / levels.len() as f64
            }
        }
    }

    /// The number of values; `None` for a range.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Between { .. } => None,
            Self::Levels { levels } => Some(levels.len()),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Between { low, high, scale: Scale::Linear } => write!(f, "{low} to {high}"),
            Self::Between { low, high, scale: Scale::Log } => write!(f, "{low} to {high}, log"),
            Self::Levels { levels } if levels.len() > 12 => {
                let (first, last) = (levels[0], levels[levels.len() - 1]);
                write!(f, "{first}, {}, ... {last}: {} values", levels[1], levels.len())
            }
            Self::Levels { levels } => f.write_str(&levels.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Rounds to four digits: finer than a search can resolve, and short enough to be copied into a recipe without loss.
fn rounded(value: f64) -> f64 {
    digits(value, 3)
}

/// Rounds to this many decimals of the value's scientific notation.
#[must_use]
pub fn digits(value: f64, decimals: usize) -> f64 {
    format!("{value:.decimals$e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_places_are_inverse() {
        let log = Values::Between { low: 1e-3, high: 1e-1, scale: Scale::Log };
        assert_eq!([0.0, 0.5, 1.0].map(|place| log.at(place)), [0.001, 0.01, 0.1]);
        assert!((log.place(0.01) - 0.5).abs() < 1e-12);
        let linear = Values::Between { low: 1.0, high: 5.0, scale: Scale::Linear };
        assert_eq!([0.0, 0.123_456, 1.0].map(|place| linear.at(place)), [1.0, 1.494, 5.0]);
        let levels = Values::Levels { levels: vec![2.0, 4.0, 8.0, 12.0, 20.0] };
        for level in [2.0, 4.0, 8.0, 12.0, 20.0] {
            assert_eq!(levels.at(levels.place(level)), level);
        }
        assert_eq!([0.0, 0.999, 1.0].map(|place| levels.at(place)), [2.0, 20.0, 20.0]);
    }

    #[test]
    fn a_value_that_was_set_is_the_stages() {
        let before = crate::sample::stage();
        for parameter in Parameter::ALL {
            assert_eq!(parameter.name().parse(), Ok(parameter));
            let mut spec = before.clone();
            parameter.set(0.5, &mut spec);
            assert_ne!(spec.key(None), before.key(None), "{parameter} is in the key");
        }
    }
}
