//! Finds the minimum of a quantity measured at several settings, or says why it has none.
//!
//! Settings are on a log axis: model sizes at one budget, batch sizes at one loss. [`Through::Parabola`] is what papers
//! draw through their isoFLOP points; [`Through::Akima`] follows the points, for valleys that are not parabolic. Both
//! return [`Valley::Lowest`] only for a minimum between the outermost settings.

mod akima;
mod parabola;

/// Settings that a valley needs: a parabola through three always fits and leaves no residual.
pub const MIN_SETTINGS: usize = 4;

use serde::{Deserialize, Serialize};

/// The curve drawn through the measurements to find their minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Through {
    /// A parabola over the logarithm of the setting, by least squares.
    Parabola {
        /// Number of measurements nearest to the lowest one that it is fitted to: a valley is a parabola only near its
        /// floor. `None` for all.
        nearest: Option<usize>,
    },
    /// Akima's spline through the logarithms: it passes through every point, and does not overshoot beside a steep one.
    Akima,
}

/// What the measurements show.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Valley {
    /// A minimum between the outermost settings.
    Lowest {
        /// The setting of the minimum.
        at: f64,
        /// The curve's value there.
        value: f64,
    },
    /// Too few settings to tell.
    TooFew {
        /// Number of settings measured.
        found: usize,
    },
    /// The parabola opens downwards, or is straight.
    NoFloor,
    /// The minimum is at or below the smallest measured setting.
    Below,
    /// The minimum is at or above the largest measured setting.
    Above,
}

impl Valley {
    /// The setting and the value of the minimum.
    #[must_use]
    pub fn lowest(&self) -> Option<(f64, f64)> {
        match *self {
            Self::Lowest { at, value } => Some((at, value)),
            _ => None,
        }
    }

    /// Why there is no minimum, in words.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        match self {
            Self::Lowest { .. } => None,
            Self::TooFew { found } => Some(format!("only {found} settings, where a valley needs {MIN_SETTINGS}")),
            Self::NoFloor => Some("the parabola does not open upwards".to_owned()),
            Self::Below => Some("the minimum is at or below the smallest setting".to_owned()),
            Self::Above => Some("the minimum is at or above the largest setting".to_owned()),
        }
    }
}

/// The valley of measurements (setting, value, weight) with positive settings. Equal settings count together.
pub(crate) fn valley(measured: &[(f64, f64, f64)], through: Through) -> Valley {
    valley_of_at_least(MIN_SETTINGS, measured, through)
}

/// The same with another minimum number of settings, three or more: resampled measurements have fewer, and the result
/// of a parabola through three of them is part of how much they may differ.
pub(crate) fn valley_of_at_least(settings: usize, measured: &[(f64, f64, f64)], through: Through) -> Valley {
    let least = settings.max(3);
    let mut measured: Vec<(f64, f64, f64)> = measured
        .iter()
        .filter(|(_, _, weight)| *weight > 0.0)
        .map(|&(at, value, weight)| (at.ln(), value, weight))
        .collect();
    measured.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut settings: Vec<(f64, f64, f64)> = Vec::new();
    for (at, value, weight) in measured {
        match settings.last_mut() {
            Some(last) if last.0 == at => {
                let total = last.2 + weight;
                *last = (at, (last.1 * last.2 + value * weight) / total, total);
            }
            _ => settings.push((at, value, weight)),
        }
    }
    if settings.len() < least {
        return Valley::TooFew { found: settings.len() };
    }
    match through {
        Through::Parabola { nearest } => parabola::lowest(&settings, nearest.unwrap_or(settings.len())),
        Through::Akima => akima::lowest(&settings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bowl(settings: &[f64], floor: f64) -> Vec<(f64, f64, f64)> {
        settings.iter().map(|&at| (at, 3.0 + 0.2 * (at / floor).ln().powi(2), 1.0)).collect()
    }

    #[test]
    fn the_floor_of_a_bowl_is_found() {
        let settings = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
        for through in [Through::Parabola { nearest: None }, Through::Parabola { nearest: Some(4) }, Through::Akima] {
            let (at, value) = valley(&bowl(&settings, 6.0), through).lowest().expect("inside");
            let tolerance = if through == Through::Akima { 0.02 } else { 1e-9 };
            assert!((at / 6.0 - 1.0).abs() < tolerance && (value - 3.0).abs() < tolerance, "{through:?} {at} {value}");
        }
    }

    #[test]
    fn a_floor_that_was_not_measured_is_not_made_up() {
        let settings = [1.0, 2.0, 4.0, 8.0, 16.0];
        for through in [Through::Parabola { nearest: None }, Through::Akima] {
            assert_eq!(valley(&bowl(&settings, 0.2), through), Valley::Below);
            assert_eq!(valley(&bowl(&settings, 90.0), through), Valley::Above);
            assert_eq!(valley(&bowl(&settings[..3], 2.0), through), Valley::TooFew { found: 3 });
        }
        let ridge: Vec<_> = bowl(&settings, 4.0).into_iter().map(|(at, value, weight)| (at, -value, weight)).collect();
        assert_eq!(valley(&ridge, Through::Parabola { nearest: None }), Valley::NoFloor);
    }

    #[test]
    fn equal_settings_count_together() {
        let mut twice = bowl(&[1.0, 2.0, 4.0, 8.0], 3.0);
        twice.extend(twice.clone());
        twice.push((64.0, 0.0, 0.0));
        let (at, _) = valley(&twice, Through::Parabola { nearest: None }).lowest().expect("inside");
        assert!((at / 3.0 - 1.0).abs() < 1e-9);
        assert_eq!(valley(&twice[..3].repeat(3), Through::Akima), Valley::TooFew { found: 3 });
    }
}
