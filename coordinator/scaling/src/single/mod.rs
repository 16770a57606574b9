//! Laws in one variable: a power of x or an exponential, above a floor or not.
//!
//! ```text
//! y = a x^-b + c        Form::PowerFloor         y = a x^-b        Form::Power
//! y = a exp(-b x) + c   Form::ExponentialFloor   y = a exp(-b x)   Form::Exponential
//! ```
//!
//! Two ways in. [`fit()`] fits one [`Form`] to [`Observation`]s and gives a [`SingleFit`]: the law, how it was found, and
//! its intervals twice, by resampling groups of observations and by the delta method. [`compare()`] fits several forms to
//! the same observations and ranks them, as section 4.2 of the MiniCPM paper does with the envelope of WSD(D, 0.1D), where
//! the power law is the better one. Observations with the same `group` share their luck and are drawn together; give each a
//! number of its own where they do not.

mod compare;
mod error;
mod fit;
mod intervals;
mod problem;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use compare::{Comparison, compare};
pub use error::SingleError;
pub use fit::{SingleFit, SingleOptions, fit};
pub use intervals::{Bootstrapped, SingleIntervals};

/// One measured pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The variable: tokens, parameters, operations, a loss.
    pub x: f64,
    /// What was measured there.
    pub y: f64,
    /// Which run or trunk it comes from.
    pub group: usize,
}

/// A shape in one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// y = a x^-b. Also for what rises: then b is negative.
    Power,
    /// y = a x^-b + c, falling to c.
    PowerFloor,
    /// y = a exp(-b x). Also for what rises.
    Exponential,
    /// y = a exp(-b x) + c, falling to c.
    ExponentialFloor,
}

/// A law in one variable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SingleLaw {
    /// Its shape.
    pub form: Form,
    /// The coefficient, in units of y.
    pub a: f64,
    /// The exponent, or the rate.
    pub b: f64,
    /// The floor; zero where the form has none.
    pub c: f64,
}

impl Form {
    /// Parameters that are fitted.
    #[must_use]
    pub fn parameters(self) -> usize {
        if self.has_floor() { 3 } else { 2 }
    }

    /// Whether it falls to a floor.
    #[must_use]
    pub fn has_floor(self) -> bool {
        matches!(self, Self::PowerFloor | Self::ExponentialFloor)
    }

    /// Whether it is a power of x.
    #[must_use]
    pub fn is_power(self) -> bool {
        matches!(self, Self::Power | Self::PowerFloor)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Power => "a x^-b",
            Self::PowerFloor => "a x^-b + c",
            Self::Exponential => "a exp(-b x)",
            Self::ExponentialFloor => "a exp(-b x) + c",
        })
    }
}

impl SingleLaw {
    /// What the law says at `x`.
    #[must_use]
    pub fn predict(&self, x: f64) -> f64 {
        let above = if self.form.is_power() { x.powf(-self.b) } else { (-self.b * x).exp() };
        self.a * above + self.c
    }
}
