//! Laws in one variable: a power of x or an exponential, with or without a floor.
//!
//! ```text
//! y = a x^-b + c        Form::PowerFloor         y = a x^-b        Form::Power
//! y = a exp(-b x) + c   Form::ExponentialFloor   y = a exp(-b x)   Form::Exponential
//! ```
//!
//! [`fit()`] fits one [`Form`] to [`Observation`]s and returns a [`SingleFit`]: the law, how it was found, and its
//! intervals twice, by resampling groups of observations and by the delta method. [`compare()`] fits several forms to
//! the same observations and ranks them, as section 4.2 of the MiniCPM paper does with the envelope of WSD(D, 0.1D),
//! where the power law is the better one. Observations with the same `group` share their luck and are drawn together;
//! give independent ones different numbers.

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
    /// The variable: tokens, parameters, FLOPs or a loss.
    pub x: f64,
    /// The value measured there.
    pub y: f64,
    /// Number of the run or trunk it comes from.
    pub group: usize,
}

/// A shape in one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// y = a x^-b. Also for rising data: then b is negative.
    Power,
    /// y = a x^-b + c, falling to c.
    PowerFloor,
    /// y = a exp(-b x). Also for rising data.
    Exponential,
    /// y = a exp(-b x) + c, falling to c.
    ExponentialFloor,
}

/// A law in one variable.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SingleLaw {
    pub form: Form,
    /// Coefficient, in units of y.
    pub a: f64,
    /// Exponent or rate.
    pub b: f64,
    /// Floor; zero if the form has none.
    pub c: f64,
}

impl Form {
    /// Number of fitted parameters.
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
    /// The law's value at `x`.
    #[must_use]
    pub fn predict(&self, x: f64) -> f64 {
        let above = if self.form.is_power() { x.powf(-self.b) } else { (-self.b * x).exp() };
        self.a * above + self.c
    }
}
