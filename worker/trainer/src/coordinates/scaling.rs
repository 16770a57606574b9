//! How magnitudes scale with the width.

use std::collections::BTreeMap;

use serde::Serialize;

use super::observe::{Observed, Quantity, Size};

/// Exponents of smaller magnitude count as zero. A wrong scaling makes coordinates grow at least with the square root
/// of the width, an exponent of a half or more; the effects of training and chance at CPU-sized widths stay below a
/// quarter.
pub const STABLE: f64 = 0.25;

/// A measure of magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The mean absolute value.
    Size,
    /// The mean absolute difference from before the first step.
    Change,
}

/// Interpretation of an exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Independent of the width.
    Stable,
    /// Larger in wider models.
    Grows,
    /// Smaller in wider models.
    Vanishes,
    /// A measure is zero or not finite, so there is no exponent.
    NoExponent,
}

/// How a quantity scales with the width after some steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Exponent {
    /// Steps done.
    pub step: u64,
    pub quantity: Quantity,
    pub measure: Measure,
    /// Slope of the measure's logarithm over that of the width.
    pub slope: Option<f64>,
    /// Interpretation of the slope.
    pub verdict: Verdict,
}

impl Measure {
    /// The measure, given a magnitude.
    #[must_use]
    pub fn of(self, size: Size) -> f64 {
        match self {
            Self::Size => size.size,
            Self::Change => size.change,
        }
    }
}

/// The exponents over models of several widths, each with its width, for every step, quantity and measure available.
/// Before the first step nothing has changed, so there is no exponent of the change.
#[must_use]
pub fn slopes(models: &[(u32, &[Observed])]) -> Vec<Exponent> {
    let mut points: BTreeMap<(u64, Quantity, Measure), Vec<(f64, f64)>> = BTreeMap::new();
    for (width, observed) in models {
        for observed in *observed {
            for (quantity, size) in &observed.sizes {
                for measure in [Measure::Size, Measure::Change] {
                    if (observed.step, measure) != (0, Measure::Change) {
                        let point = (f64::from(*width), measure.of(*size));
                        points.entry((observed.step, *quantity, measure)).or_default().push(point);
                    }
                }
            }
        }
    }
    points
        .into_iter()
        .map(|((step, quantity, measure), points)| {
            let slope = slope(&points);
            Exponent { step, quantity, measure, slope, verdict: verdict(slope) }
        })
        .collect()
}

fn verdict(slope: Option<f64>) -> Verdict {
    match slope {
        None => Verdict::NoExponent,
        Some(slope) if slope > STABLE => Verdict::Grows,
        Some(slope) if slope < -STABLE => Verdict::Vanishes,
        Some(_) => Verdict::Stable,
    }
}

/// Exponent of the power law through the points, by least squares of logarithms; `None` with fewer than two widths.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(width, size)| (width.ln(), size.ln())).collect();
    let count = logs.len() as f64;
    let [mean_width, mean_size] = [
        logs.iter().map(|(width, _)| width).sum::<f64>() / count,
        logs.iter().map(|(_, size)| size).sum::<f64>() / count,
    ];
    let [mut square, mut product] = [0.0; 2];
    for (width, size) in logs {
        square += (width - mean_width).powi(2);
        product += (width - mean_width) * (size - mean_size);
    }
    let slope = product / square;
    (square > 1e-12 && slope.is_finite()).then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(step: u64, size: f64, change: f64) -> Observed {
        Observed { step, loss: None, sizes: BTreeMap::from([(Quantity::Stream, Size { size, change })]) }
    }

    #[test]
    fn power_laws_have_their_exponents() {
        let of = |width: u32| {
            let root = f64::from(width).sqrt();
            [observed(0, 3.0, 0.0), observed(1, 2.0 / root, 0.5 * root)]
        };
        let (narrow, middle, wide) = (of(32), of(64), of(256));
        let slopes = slopes(&[(32, &narrow), (64, &middle), (256, &wide)]);
        let found: Vec<_> = slopes
            .iter()
            .map(|exponent| {
                let rounded = exponent.slope.map(|slope| (slope * 1e9).round() / 1e9 + 0.0);
                (exponent.step, exponent.measure, rounded, exponent.verdict)
            })
            .collect();
        assert_eq!(
            found,
            [
                (0, Measure::Size, Some(0.0), Verdict::Stable),
                (1, Measure::Size, Some(-0.5), Verdict::Vanishes),
                (1, Measure::Change, Some(0.5), Verdict::Grows),
            ]
        );
    }

    #[test]
    fn what_has_no_exponent_gets_none() {
        let exponent = |widths: [u32; 2], sizes: [f64; 2]| {
            let [one, other] = sizes.map(|size| [observed(0, size, 0.0)]);
            slopes(&[(widths[0], &one), (widths[1], &other)])[0].slope
        };
        assert!(exponent([32, 64], [1.0, 2.0]).is_some_and(|slope| (slope - 1.0).abs() < 1e-12));
        for (widths, sizes) in [
            ([32, 32], [1.0, 2.0]),
            ([32, 64], [1.0, 0.0]),
            ([32, 64], [f64::NAN, 1.0]),
            ([32, 64], [1.0, f64::INFINITY]),
        ] {
            assert_eq!(exponent(widths, sizes), None, "{widths:?} {sizes:?}");
        }
        assert!(slopes(&[]).is_empty());
    }
}
