//! Summary statistics of repeated measurements.

use serde::{Deserialize, Serialize};

/// Median and spread of some measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub median: f64,
    /// 10th percentile; the minimum of fewer than ten measurements.
    pub low: f64,
    /// 90th percentile; the maximum of fewer than ten measurements.
    pub high: f64,
    /// Number of measurements.
    pub count: usize,
}

impl Summary {
    /// Summarises measurements; `None` if there are none.
    #[must_use]
    pub fn of(measurements: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let (low, last) = (count / 10, count.checked_sub(1)?);
        let median = (sorted[last / 2] + sorted[count / 2]) / 2.0;
        Some(Self { median, low: sorted[low], high: sorted[last - low], count })
    }

    /// Summarises quotients taken measurement by measurement: per round, if both were measured in rounds.
    #[must_use]
    pub fn of_ratio(over: &[f64], under: &[f64]) -> Option<Self> {
        Self::of(over.iter().zip(under).map(|(over, under)| over / under))
    }

    /// Scales by a non-negative factor.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        let Self { median, low, high, count } = self;
        Self { median: median * factor, low: low * factor, high: high * factor, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_summary() {
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn a_few_spread_from_the_least_to_the_greatest() {
        let summary = Summary::of([3.0, 1.0, 2.0, 6.0]);
        assert_eq!(summary, Some(Summary { median: 2.5, low: 1.0, high: 6.0, count: 4 }));
        assert_eq!(Summary::of([7.0]), Some(Summary { median: 7.0, low: 7.0, high: 7.0, count: 1 }));
    }

    #[test]
    fn of_many_a_tenth_is_left_out_at_either_end() {
        let summary = Summary::of((0..21).rev().map(f64::from)).expect("some");
        assert_eq!((summary.low, summary.median, summary.high), (2.0, 10.0, 18.0));
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let summary = Summary::of_ratio(&[2.0, 9.0, 4.0], &[1.0, 3.0, 4.0]).expect("some");
        assert_eq!((summary.low, summary.median, summary.high), (1.0, 2.0, 3.0));
    }
}
