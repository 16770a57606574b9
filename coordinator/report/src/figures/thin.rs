//! Curves of tens of thousands of steps, thinned to what a screen can show.

/// Limit on the points of all curves together.
const MAX_POINTS: u64 = 20_000;
/// Number of stretches of the longest run.
const STRETCHES: u64 = 450;
/// Minimum number of stretches of a short stage, so that a decay is a line and not a dot.
const LEAST_STRETCHES: u64 = 12;

/// How much to thin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thinning {
    /// Steps per stretch.
    pub(super) stretch: u64,
    /// Minimum number of stretches of a stage.
    least: u64,
}

impl Thinning {
    /// From the steps of the longest run, the points of all curves, and the number of stages.
    pub(super) fn of(longest: u64, all: u64, stages: u64) -> Self {
        let stretch = longest.div_ceil(STRETCHES).max(all.div_ceil(MAX_POINTS)).max(1);
        Self { stretch, least: (MAX_POINTS / stages.max(1)).clamp(1, LEAST_STRETCHES) }
    }

    /// Points per stretch of a stage with this many points.
    fn width(self, points: usize) -> usize {
        self.stretch.min((points as u64).div_ceil(self.least)).max(1) as usize
    }
}

/// Means over stretches of a stage: the midpoint in completed steps, and the mean loss. Losses that are not finite are skipped.
pub(super) fn means(points: &[(u64, f64)], thinning: Thinning) -> Vec<(f64, f64)> {
    let finite: Vec<&(u64, f64)> = points.iter().filter(|(_, loss)| loss.is_finite()).collect();
    finite
        .chunks(thinning.width(finite.len()))
        .map(|part| {
            let count = part.len() as f64;
            let step = part.iter().map(|(step, _)| *step as f64 + 1.0).sum::<f64>() / count;
            (step, part.iter().map(|(_, loss)| loss).sum::<f64>() / count)
        })
        .collect()
}

/// Medians over stretches of a stage: the midpoint in completed steps, and the median, which is robust to outliers. Values that
/// are not finite are skipped.
pub(super) fn medians(values: impl Iterator<Item = (u64, f64)>, thinning: Thinning) -> Vec<(f64, f64)> {
    let finite: Vec<(u64, f64)> = values.filter(|(_, value)| value.is_finite()).collect();
    let width = thinning.width(finite.len());
    finite
        .chunks(width)
        .map(|part| {
            let step = part.iter().map(|(step, _)| *step as f64 + 1.0).sum::<f64>() / part.len() as f64;
            let mut values: Vec<f64> = part.iter().map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            let [below, above] = [values[(values.len() - 1) / 2], values[values.len() / 2]];
            (step, f64::midpoint(below, above))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_thinned_and_short_ones_keep_their_shape() {
        let curve: Vec<(u64, f64)> = (0..10_000).map(|step| (step, step as f64)).collect();
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
    fn medians_ignore_outliers() {
        let values = [(0, 1.0), (1, f64::NAN), (2, 3.0), (3, 1e9), (4, 2.0), (5, 4.0)];
        let thinning = Thinning { stretch: 3, least: 1 };
        assert_eq!(medians(values.into_iter(), thinning), [(8.0 / 3.0, 3.0), (5.5, 3.0)]);
        assert!(medians(std::iter::empty(), thinning).is_empty());
    }

    #[test]
    fn values_that_are_not_finite_are_skipped() {
        assert_eq!(means(&[(0, f64::NAN), (1, 3.0)], Thinning::of(2, 2, 1)), [(2.0, 3.0)]);
        assert!(means(&[], Thinning::of(1, 1, 1)).is_empty());
    }
}
