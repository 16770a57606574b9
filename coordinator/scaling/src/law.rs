//! The law, and the names of its parameters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The law as text, for people and for `fit.json`.
pub const FORM: &str = "L(N, D) = C_N * N^-alpha + C_D * D^-beta + L0";

/// The data-model scaling law of the MiniCPM paper, section 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScalingLaw {
    /// Coefficient of the model term, nats times N^alpha.
    #[serde(rename = "C_N")]
    pub c_n: f64,
    /// Exponent of the model term.
    pub alpha: f64,
    /// Coefficient of the data term, nats times D^beta.
    #[serde(rename = "C_D")]
    pub c_d: f64,
    /// Exponent of the data term.
    pub beta: f64,
    /// The loss that neither more parameters nor more data would take away, nats.
    #[serde(rename = "L0")]
    pub l0: f64,
}

/// One of the five parameters of a [`ScalingLaw`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Parameter {
    /// [`ScalingLaw::c_n`].
    #[serde(rename = "C_N")]
    CN,
    /// [`ScalingLaw::alpha`].
    #[serde(rename = "alpha")]
    Alpha,
    /// [`ScalingLaw::c_d`].
    #[serde(rename = "C_D")]
    CD,
    /// [`ScalingLaw::beta`].
    #[serde(rename = "beta")]
    Beta,
    /// [`ScalingLaw::l0`].
    #[serde(rename = "L0")]
    L0,
}

impl ScalingLaw {
    /// The loss the law predicts for `n` parameters trained on `d` tokens, nats.
    #[must_use]
    pub fn predict(&self, n: f64, d: f64) -> f64 {
        self.c_n * n.powf(-self.alpha) + self.c_d * d.powf(-self.beta) + self.l0
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> f64 {
        match parameter {
            Parameter::CN => self.c_n,
            Parameter::Alpha => self.alpha,
            Parameter::CD => self.c_d,
            Parameter::Beta => self.beta,
            Parameter::L0 => self.l0,
        }
    }
}

impl Parameter {
    /// All five, in the order in which people write the law.
    pub const ALL: [Self; 5] = [Self::CN, Self::Alpha, Self::CD, Self::Beta, Self::L0];
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CN => "C_N",
            Self::Alpha => "alpha",
            Self::CD => "C_D",
            Self::Beta => "beta",
            Self::L0 => "L0",
        })
    }
}
