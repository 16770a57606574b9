//! Curves of tens of thousands of steps, thinned to what a screen shows.

use crate::campaign::CurvePoint;

/// Points of all curves together.
const MAX_POINTS: u64 = 20_000;
/// Stretches of the longest run.
const STRETCHES: u64 = 450;
/// Stretches a short stage is still divided into, so that a decay is a line and not a dot.
const LEAST_STRETCHES: u64 = 12;

/// How far to thin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thinning {
    /// Steps to take the mean over.
    pub(super) stretch: u64,
    /// Stretches of a stage that has fewer steps than that.
    least: u64,
}

impl Thinning {
    /// From the steps of the longest run, those of all stages, and the number of stages.
    pub(super) fn of(longest: u64, all: u64, stages: u64) -> Self {
        let stretch = longest.div_ceil(STRETCHES).max(all.div_ceil(MAX_POINTS)).max(1);
        Self { stretch, least: (MAX_POINTS / stages.max(1)).clamp(1, LEAST_STRETCHES) }
    }
}

/// Means over stretches of a stage: the middle of each in steps done, and the mean loss. Points that are no number are left
/// out.
pub(super) fn means(points: &[CurvePoint], thinning: Thinning) -> Vec<(f64, f64)> {
    let finite: Vec<&CurvePoint> = points.iter().filter(|point| point.loss.is_finite()).collect();
    let width = thinning.stretch.min((finite.len() as u64).div_ceil(thinning.least)).max(1) as usize;
    finite
        .chunks(width)
        .map(|part| {
            let count = part.len() as f64;
            let step = part.iter().map(|point| point.step as f64 + 1.0).sum::<f64>() / count;
            (step, part.iter().map(|point| point.loss).sum::<f64>() / count)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_thinned_and_short_ones_keep_their_shape() {
        let curve: Vec<CurvePoint> = (0..10_000).map(|step| CurvePoint { step, loss: step as f64 }).collect();
        let thinning = Thinning::of(10_000, 30_000, 30);
        assert_eq!(thinning, Thinning { stretch: 23, least: 12 });
        let thin = means(&curve, thinning);
        assert_eq!(thin.len(), 10_000_usize.div_ceil(23));
        assert_eq!(thin[0], (12.0, 11.0));
        assert_eq!(means(&curve[..24], thinning).len(), 12);
        assert_eq!(Thinning::of(100, 100, 1).stretch, 1);
        assert_eq!(Thinning::of(1_000_000, 1_000_000_000, 10_000), Thinning { stretch: 50_000, least: 2 });
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let point = |step, loss| CurvePoint { step, loss };
        assert_eq!(means(&[point(0, f64::NAN), point(1, 3.0)], Thinning::of(2, 2, 1)), [(2.0, 3.0)]);
        assert!(means(&[], Thinning::of(1, 1, 1)).is_empty());
    }
}
