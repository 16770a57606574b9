//! Intervals and the methods that make them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::law::Parameter;

/// Options of the intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Number of bootstrap draws.
    pub draws: usize,
    /// Seed of the generator, so that the same table gives the same intervals.
    pub seed: u64,
    /// Probability with which an interval holds the truth, between 0 and 1.
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

/// What the noise of points has in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resample {
    /// The points of a trunk share its luck. A draw takes as many trunks as there are.
    #[default]
    Trunks,
    /// Like `Trunks`, but a draw takes from each size as many trunks as that size has, so that every draw has every
    /// size. Needs several seeds.
    Seeds,
    /// Every point has its own luck. For tables without trunks; too narrow if there are some.
    Points,
}

impl Resample {
    /// What one draw consists of, in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Trunks => "whole trunks with all their points, with replacement",
            Self::Seeds => "whole trunks with all their points, with replacement among those of the same size",
            Self::Points => "single points, with replacement, as if each had a trunk of its own",
        }
    }
}

/// The method that made an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The delta method with a covariance clustered by trunk, and Student's t with few degrees of freedom. Exponents
    /// are used directly, everything else by its logarithm.
    Clustered,
    /// The same for the law of an objective that is smooth over distances as large as the residuals: Huber's function
    /// with their size as its threshold.
    Smoothed,
    /// Whatever the delta method allows of the law of all points, or of the law without the points far off it. If all of
    /// those lie on one side of the law, they bend it, however little a single one counts.
    Trimmed,
    /// Whatever is possible at any floor L0 that the points allow, where they hardly tell it from zero.
    Floors,
    /// From the lower to the upper percentile of the draws.
    Percentile,
}

impl Method {
    /// In words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Clustered => "delta method, clustered by trunk, Student's t",
            Self::Smoothed => "delta method with a Huber threshold of the residuals' size",
            Self::Trimmed => "delta method with and without the outliers",
            Self::Floors => "delta method at every floor L0 that the points allow",
            Self::Percentile => "percentiles of the draws",
        }
    }
}

/// An interval with both ends. In JSON a list of two numbers.
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
    /// Whether a value lies within it.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// The smallest interval that holds both.
    pub(crate) fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The interval of a quantity, from that of its logarithm; `None` if an end exceeds the range of a double.
    pub(crate) fn out_of_logs(self) -> Option<Self> {
        let (low, high) = (self.low.exp(), self.high.exp());
        (low > 0.0 && high.is_finite()).then_some(Self { low, high })
    }
}

/// Intervals of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Probability with which each holds the truth.
    pub level: f64,
    pub method: Method,
    /// The parameters whose interval is another method's, because the usual one's is much narrower or does not apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_parameter: BTreeMap<Parameter, Method>,
    /// One per parameter of the law, under its name. Unbounded ones are absent.
    #[serde(flatten)]
    parameters: BTreeMap<Parameter, Interval>,
}

impl Intervals {
    /// `method` is the usual one; `interval` gives a parameter's interval and the method that made it.
    pub(crate) fn of(
        level: f64,
        method: Method,
        parameters: &[Parameter],
        interval: impl Fn(Parameter) -> Option<(Interval, Method)>,
    ) -> Self {
        let found: Vec<(Parameter, Interval, Method)> = parameters
            .iter()
            .filter_map(|&parameter| interval(parameter).map(|(interval, by)| (parameter, interval, by)))
            .collect();
        let others = found.iter().filter(|(_, _, by)| *by != method);
        Self {
            level,
            method,
            by_parameter: others.map(|&(parameter, _, by)| (parameter, by)).collect(),
            parameters: found.iter().map(|&(parameter, interval, _)| (parameter, interval)).collect(),
        }
    }

    /// The interval of a parameter, if it has one.
    #[must_use]
    pub fn bounded(&self, parameter: Parameter) -> Option<Interval> {
        self.parameters.get(&parameter).copied()
    }

    /// The interval of a parameter; from zero to infinity for an unbounded one, and for one of another form.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> Interval {
        self.parameters.get(&parameter).copied().unwrap_or(Interval { low: 0.0, high: f64::INFINITY })
    }
}
