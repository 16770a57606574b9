//! Intervals, and how they are made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::law::Parameter;

/// How intervals are made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Of the generator, so that the same table has the same intervals.
    pub seed: u64,
    /// The probability with which an interval holds the truth, between 0 and 1.
    pub level: f64,
    /// What is drawn, and what counts as a sample.
    #[serde(default)]
    pub resample: Resample,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { draws: 1000, seed: 0, level: 0.95, resample: Resample::default() }
    }
}

/// What the noise of points is taken to have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// The points of a trunk share its luck. A draw takes as many trunks as there are.
    #[default]
    Trunks,
    /// The same, but a draw takes for each size as many of its trunks as it has: every draw has every size. Needs several
    /// seeds.
    Seeds,
    /// Every point has a luck of its own: for tables that have no trunks. Too narrow where there are some.
    Points,
}

impl Resample {
    /// What a draw is of.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Trunks => "whole trunks with all their points, with replacement",
            Self::Seeds => "whole trunks with all their points, with replacement among those of the same size",
            Self::Points => "single points, with replacement, as if each had a trunk of its own",
        }
    }
}

/// Where an interval comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The delta method with a covariance clustered by trunk, and Student's t with few degrees of freedom. Exponents are
    /// taken as they are, everything else by its logarithm.
    Clustered,
    /// From the lower to the upper percentile of the draws.
    Percentile,
}

impl Method {
    /// In words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Clustered => "delta method, clustered by trunk, Student's t",
            Self::Percentile => "percentiles of the draws",
        }
    }
}

/// From the lower to the upper end. In JSON a list of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Self {
        Self { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> Self {
        [interval.low, interval.high]
    }
}

impl Interval {
    /// Whether a value lies in it.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// From an interval of a logarithm; `None` where an end is no number that a double holds.
    pub(crate) fn out_of_logs(self) -> Option<Self> {
        let (low, high) = (self.low.exp(), self.high.exp());
        (low > 0.0 && high.is_finite()).then_some(Self { low, high })
    }
}

/// Intervals of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// The probability with which each holds the truth.
    pub level: f64,
    /// Where they come from.
    pub method: Method,
    /// Of each parameter of the law, under its name. One that nothing bounds is left out.
    #[serde(flatten)]
    parameters: BTreeMap<Parameter, Interval>,
}

impl Intervals {
    pub(crate) fn of(
        level: f64,
        method: Method,
        parameters: &[Parameter],
        interval: impl Fn(Parameter) -> Option<Interval>,
    ) -> Self {
        let parameters = parameters.iter().filter_map(|&parameter| Some((parameter, interval(parameter)?))).collect();
        Self { level, method, parameters }
    }

    /// The interval of a parameter; from zero to infinity for one that nothing bounds, and for one of another form.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> Interval {
        self.parameters.get(&parameter).copied().unwrap_or(Interval { low: 0.0, high: f64::INFINITY })
    }
}
