//! A straight line through logarithms: y = coefficient * x^exponent.

use serde::{Deserialize, Serialize};

use crate::intervals::Interval;
use crate::quantile::student;

/// A power law without a floor, by least squares of the logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PowerLine {
    /// y at x = 1.
    pub coefficient: f64,
    /// Slope of log y over log x.
    pub exponent: f64,
    /// Standard error of the exponent, for independent points; `None` with two points.
    pub exponent_error: Option<f64>,
    /// Share of the variance of log y that the line explains.
    pub r_squared: f64,
    /// Number of points.
    pub points: usize,
    /// Half the weighted sum of squared residuals of log y.
    pub objective: f64,
    /// Always 1: the solution has a closed form.
    pub starts: usize,
    /// Always 1.
    pub agreeing: usize,
    /// Always true.
    pub converged: bool,
}

impl PowerLine {
    /// The line through points (x, y, weight), all positive. `None` if fewer than two values of x have weight.
    pub(crate) fn through(points: &[(f64, f64, f64)]) -> Option<Self> {
        let logs: Vec<(f64, f64, f64)> =
            points.iter().filter(|point| point.2 > 0.0).map(|&(x, y, weight)| (x.ln(), y.ln(), weight)).collect();
        let total: f64 = logs.iter().map(|log| log.2).sum();
        let mean = |of: fn(&(f64, f64, f64)) -> f64| logs.iter().map(|log| log.2 * of(log)).sum::<f64>() / total;
        let (mean_x, mean_y) = (mean(|log| log.0), mean(|log| log.1));
        let [mut xx, mut xy, mut yy] = [0.0; 3];
        for &(x, y, weight) in &logs {
            xx += weight * (x - mean_x).powi(2);
            xy += weight * (x - mean_x) * (y - mean_y);
            yy += weight * (y - mean_y).powi(2);
        }
        if xx <= 1e-18 * total || xx.is_nan() {
            return None;
        }
        let exponent = xy / xx;
        let left = (yy - exponent * xy).max(0.0);
        let freedom = logs.len().saturating_sub(2);
        Some(Self {
            coefficient: (mean_y - exponent * mean_x).exp(),
            exponent,
            exponent_error: (freedom > 0).then(|| {
                // Only the weights' ratios matter; their scale cancels.
                (left / freedom as f64 / xx).sqrt()
            }),
            r_squared: if yy > 0.0 { 1.0 - left / yy } else { 1.0 },
            points: logs.len(),
            objective: 0.5 * left,
            starts: 1,
            agreeing: 1,
            converged: true,
        })
    }

    /// y at `x`.
    #[must_use]
    pub fn predict(&self, x: f64) -> f64 {
        self.coefficient * x.powf(self.exponent)
    }

    /// The interval of the exponent by its standard error.
    #[must_use]
    pub fn exponent_interval(&self, level: f64) -> Option<Interval> {
        let reach = student(level, self.points.checked_sub(2)?) * self.exponent_error?;
        Some(Interval { low: self.exponent - reach, high: self.exponent + reach })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::single::{Form, Observation, SingleOptions, fit};

    #[test]
    fn it_is_the_law_in_one_variable_under_squares_of_logarithms() {
        let points = [(1.0, 9.0, 1.0), (2.0, 7.5, 1.0), (5.0, 5.0, 1.0), (9.0, 4.5, 1.0), (30.0, 2.4, 1.0)];
        let seen: Vec<Observation> =
            points.iter().enumerate().map(|(group, &(x, y, _))| Observation { x, y, group }).collect();
        let line = PowerLine::through(&points).expect("five values");
        let law = fit(&seen, Form::Power, &SingleOptions::default()).expect("fits").law;
        assert!((line.exponent + law.b).abs() < 1e-6 && (line.coefficient / law.a - 1.0).abs() < 1e-6);
        let interval = line.exponent_interval(0.95).expect("three degrees of freedom");
        assert!(interval.contains(line.exponent) && interval.high - interval.low > 0.0);
    }

    #[test]
    fn a_weight_is_a_number_of_copies() {
        let weighted = [(1.0, 9.0, 2.0), (2.0, 7.5, 1.0), (5.0, 5.0, 0.0), (9.0, 4.5, 1.0)];
        let copied = [(1.0, 9.0, 1.0), (1.0, 9.0, 1.0), (2.0, 7.5, 1.0), (9.0, 4.5, 1.0)];
        let [a, b] = [&weighted[..], &copied[..]].map(|points| PowerLine::through(points).expect("a line"));
        assert!((a.exponent - b.exponent).abs() < 1e-12 && (a.coefficient / b.coefficient - 1.0).abs() < 1e-12);
        assert_eq!(PowerLine::through(&[(2.0, 1.0, 1.0), (2.0, 3.0, 1.0)]), None);
    }
}
