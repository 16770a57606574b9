//! Whether a table determines a law at all. If not, nothing that follows from the law is worth stating.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fit::Fit;
use crate::intervals::{Interval, Intervals};
use crate::law::{Law, Parameter};
use crate::point::{Point, distinct};

/// A law that the points do not determine. Its `Display` says so, and what would help.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undetermined {
    /// What is not determined, each with what it may be; without an interval the points do not bound it.
    pub parameters: Vec<(Parameter, Option<Interval>)>,
    /// The largest N over the smallest, and the same for D.
    pub spans: (f64, f64),
    /// Number of trunks.
    pub trunks: usize,
}

/// An exponent that may be this many times as large as it may be small is not determined.
const MOST_SPREAD: f64 = 10.0;
/// A floor that may be below the first share of the lowest loss, and above the second, may be anything.
const ANY_FLOOR: (f64, f64) = (0.05, 0.9);
/// A range of N or D that is called short.
const SHORT: f64 = 10.0;
/// Fewer trunks than this are called few.
const FEW: usize = 10;

impl Undetermined {
    /// `None` if the points determine the law.
    pub(crate) fn of<L: Law>(
        points: &[Point],
        fit: &Fit<L>,
        intervals: Option<&Intervals>,
        trunks: usize,
    ) -> Option<Self> {
        let lowest = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
        let is_open = |parameter: &Parameter| {
            let Some(interval) = intervals.and_then(|intervals| intervals.bounded(*parameter)) else {
                // C_N and C_D follow from their exponents: they change by powers of ten with them.
                return parameter.is_exponent() || fit.at_bounds.contains(parameter);
            };
            match parameter {
                Parameter::L0 => interval.low < ANY_FLOOR.0 * lowest && interval.high > ANY_FLOOR.1 * lowest,
                _ if parameter.is_exponent() => interval.low <= 0.0 || interval.high > MOST_SPREAD * interval.low,
                _ => false,
            }
        };
        let open: Vec<Parameter> = L::PARAMETERS.iter().copied().filter(is_open).collect();
        // A vague floor alone leaves the exponents, and what follows from them, as they are.
        let matters = open.iter().any(|parameter| *parameter != Parameter::L0);
        let span = |quantity: fn(&Point) -> f64| {
            let values = distinct(points, quantity);
            values[values.len() - 1] / values[0]
        };
        matters.then(|| Self {
            parameters: open
                .into_iter()
                .map(|parameter| (parameter, intervals.and_then(|intervals| intervals.bounded(parameter))))
                .collect(),
            spans: (span(|point| point.n), span(|point| point.d)),
            trunks,
        })
    }
}

impl fmt::Display for Undetermined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, d) = self.spans;
        f.write_str("Not determined: ")?;
        for (index, (parameter, interval)) in self.parameters.iter().enumerate() {
            let before = if index == 0 { "" } else { ", " };
            match interval {
                Some(Interval { low, high }) if *parameter == Parameter::L0 && *low == 0.0 => {
                    write!(f, "{before}{parameter} may be anything up to {high:.2}")?;
                }
                Some(Interval { low, high }) => write!(f, "{before}{parameter} may be {low:.2} to {high:.2}")?,
                None => write!(f, "{before}{parameter} has no interval")?,
            }
        }
        let trunks = if self.trunks == 1 { "1 trunk".to_owned() } else { format!("{} trunks", self.trunks) };
        write!(f, ". N spans a factor of {n:.1}, D of {d:.1}, in {trunks}. Add ")?;
        let seed = if self.trunks < FEW { " or a seed" } else { "" };
        match (n < SHORT, d < SHORT) {
            (true, true) => write!(f, "sizes and amounts of data farther apart{seed}."),
            (true, false) => write!(f, "sizes farther apart{seed}."),
            (false, true) => write!(f, "amounts of data farther apart{seed}."),
            (false, false) if self.trunks < FEW => f.write_str("sizes or a seed."),
            (false, false) => f.write_str("points, or look at those that lie off the law."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_says_what_is_open_and_what_would_help() {
        let verdict = |spans, trunks| Undetermined {
            parameters: vec![
                (Parameter::Beta, Some(Interval { low: -0.1, high: 0.9 })),
                (Parameter::L0, Some(Interval { low: 0.0, high: 2.31 })),
            ],
            spans,
            trunks,
        };
        assert_eq!(
            verdict((16.0, 3.5), 8).to_string(),
            "Not determined: beta may be -0.10 to 0.90, L0 may be anything up to 2.31. N spans a factor of 16.0, D of 3.5, \
             in 8 trunks. Add amounts of data farther apart or a seed."
        );
        assert!(verdict((16.0, 35.0), 40).to_string().ends_with("or look at those that lie off the law."));
    }
}
