//! The laws that can be fitted, and their parameters.

mod additive;
mod kaplan;

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use additive::{FORM, ScalingLaw};
pub use kaplan::KaplanLaw;

use crate::optimum::Optimum;

/// The parameters of a centred problem. For the additive law a, alpha, b, beta, e; slots 1 and 3 are exponents in any
/// form, the others coefficients, and unused slots are fixed at zero.
pub(crate) type Params = [f64; 5];

/// The slots of [`Params`] that hold exponents.
pub(crate) const EXPONENTS: [usize; 2] = [1, 3];

/// A law of the loss in N and D.
///
/// Sealed: the solver needs to know a form's derivatives.
pub trait Law: sealed::Solved + Copy + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    const FORM: Form;
    /// Its parameters, in the order in which the law is written.
    const PARAMETERS: &'static [Parameter];

    /// The loss predicted for `n` parameters trained on `d` tokens, in nats.
    fn predict(&self, n: f64, d: f64) -> f64;

    /// The value of a parameter; NaN if the form lacks it.
    fn get(&self, parameter: Parameter) -> f64;

    /// K and eta of N_opt / D_opt = K^2 (C/6)^eta; `None` if the loss does not fall in both N and D, in which case no
    /// split of a budget is best.
    fn split(&self) -> Option<(f64, f64)>;

    /// The compute-optimal N and D at a budget C = 6ND; `None` as for [`Law::split`].
    fn optimum(&self, flops: f64) -> Option<Optimum> {
        let (k, eta) = self.split()?;
        let product = flops / 6.0;
        let ratio = k * k * product.powf(eta);
        let (n, d) = ((product * ratio).sqrt(), (product / ratio).sqrt());
        Some(Optimum { flops, n, d, tokens_per_param: d / n, loss: self.predict(n, d) })
    }
}

pub(crate) mod sealed {
    use super::Params;

    /// Converts between a law in the caller's units and the solver's parameters around a centre (mean log N, mean log
    /// D).
    pub trait Solved {
        fn of_params(params: &Params, centre: (f64, f64)) -> Self;
        fn to_params(&self, centre: (f64, f64)) -> Params;
    }
}

/// The forms of law that can be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// [`ScalingLaw`]: a sum of a term in N, a term in D and a constant, as in the MiniCPM and Chinchilla papers.
    #[default]
    Minicpm,
    /// [`KaplanLaw`]: a power of a sum, without a constant.
    Kaplan,
}

impl Form {
    /// The law as text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Minicpm => FORM,
            Self::Kaplan => kaplan::FORM,
        }
    }
}

/// Not the name of a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a form of law: expected minicpm (or chinchilla) or kaplan")]
pub struct UnknownForm {
    /// The name given.
    pub found: String,
}

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "minicpm" | "chinchilla" => Ok(Self::Minicpm),
            "kaplan" => Ok(Self::Kaplan),
            _ => Err(UnknownForm { found: text.to_owned() }),
        }
    }
}

/// A parameter of a law.
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
    /// [`KaplanLaw::n_c`].
    #[serde(rename = "N_c")]
    Nc,
    /// [`KaplanLaw::alpha_n`].
    #[serde(rename = "alpha_N")]
    AlphaN,
    /// [`KaplanLaw::d_c`].
    #[serde(rename = "D_c")]
    Dc,
    /// [`KaplanLaw::alpha_d`].
    #[serde(rename = "alpha_D")]
    AlphaD,
}

impl Parameter {
    /// The five parameters of the additive law, in the order in which it is written.
    pub const ALL: [Self; 5] = [Self::CN, Self::Alpha, Self::CD, Self::Beta, Self::L0];

    /// Whether it is an exponent.
    #[must_use]
    pub fn is_exponent(self) -> bool {
        matches!(self, Self::Alpha | Self::Beta | Self::AlphaN | Self::AlphaD)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CN => "C_N",
            Self::Alpha => "alpha",
            Self::CD => "C_D",
            Self::Beta => "beta",
            Self::L0 => "L0",
            Self::Nc => "N_c",
            Self::AlphaN => "alpha_N",
            Self::Dc => "D_c",
            Self::AlphaD => "alpha_D",
        })
    }
}
