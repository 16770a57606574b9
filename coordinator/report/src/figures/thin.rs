//! Curves of tens of thousands of steps, thinned to what a screen can show, without losing what people look for in them.

/// Limit on the points of all curves together.
const MAX_POINTS: u64 = 20_000;
/// Number of stretches of the longest run.
const STRETCHES: u64 = 450;
/// Minimum number of stretches of a short stage, so that a decay is a line and not a dot.
const LEAST_STRETCHES: u64 = 12;
/// How far from the mean of its stretch a value is a spike, in typical ranges of the stage's stretches. The values of normal noise
/// range over about three standard deviations in a stretch of nine, so this is about six.
const SPIKE: f64 = 2.0;

/// How much to thin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thinning {
    /// Steps per stretch.
    pub(super) stretch: u64,
    /// Minimum number of stretches of a stage.
    least: u64,
}

/// A stage's curve, thinned.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Thinned {
    /// Completed steps and losses: means over stretches, and every spike at its full height.
    pub(super) line: Vec<(f64, f64)>,
    /// The completed steps after which the loss was NaN or infinite.
    pub(super) not_finite: Vec<f64>,
}

impl Thinning {
    /// From the steps of the longest run, the points of all curves, and the number of stages.
    pub(super) fn of(longest: u64, all: u64, stages: u64) -> Self {
        let stretch = longest.div_ceil(STRETCHES).max(all.div_ceil(MAX_POINTS)).max(1);
        Self { stretch, least: (MAX_POINTS / stages.max(1)).clamp(1, LEAST_STRETCHES) }
    }

    /// Cuts a stage's points into stretches that differ in length by one at most, so that the last is never a single step.
    fn cut<T>(self, points: &[T]) -> impl Iterator<Item = &[T]> {
        let width = self.stretch.min((points.len() as u64).div_ceil(self.least)).max(1) as usize;
        let (count, length) = (points.len().div_ceil(width), points.len());
        (0..count).map(move |part| &points[part * length / count..(part + 1) * length / count])
    }
}

/// A stage's curve over completed steps: the mean of each stretch at its midpoint, and the extremes of a stretch where they lie
/// farther from the mean than the stage's noise explains.
pub(super) fn curve(points: &[(u64, f64)], thinning: Thinning) -> Thinned {
    let at = |step: u64| step as f64 + 1.0;
    let not_finite = points.iter().filter(|(_, loss)| !loss.is_finite()).map(|(step, _)| at(*step)).collect();
    let finite: Vec<(f64, f64)> =
        points.iter().filter(|(_, loss)| loss.is_finite()).map(|(step, loss)| (at(*step), *loss)).collect();
    let stretches: Vec<Stretch> = thinning.cut(&finite).map(Stretch::of).collect();
    let mut ranges: Vec<f64> = stretches.iter().map(|stretch| stretch.highest.1 - stretch.lowest.1).collect();
    ranges.sort_by(f64::total_cmp);
    let noise = ranges.get(ranges.len() / 2).copied().unwrap_or_default();
    let line = stretches.iter().flat_map(|stretch| stretch.points(SPIKE * noise)).collect();
    Thinned { line, not_finite }
}

/// A stretch of a curve.
struct Stretch {
    mean: (f64, f64),
    lowest: (f64, f64),
    highest: (f64, f64),
}

impl Stretch {
    /// Of at least one point.
    fn of(part: &[(f64, f64)]) -> Self {
        let count = part.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| part.iter().map(of).sum::<f64>() / count;
        let by_loss = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let mean = (mean(|at| at.0), mean(|at| at.1));
        let end = |found: Option<&(f64, f64)>| found.copied().unwrap_or(mean);
        Self { mean, lowest: end(part.iter().min_by(by_loss)), highest: end(part.iter().max_by(by_loss)) }
    }

    /// The mean, and the extremes farther from it than `spike`, in the order of steps.
    fn points(&self, spike: f64) -> impl Iterator<Item = (f64, f64)> + use<> {
        let is_spike = |at: &(f64, f64)| (at.1 - self.mean.1).abs() > spike;
        let mut points: Vec<(f64, f64)> = [self.lowest, self.highest].into_iter().filter(is_spike).collect();
        if points.len() == 2 && self.lowest == self.highest {
            points.pop();
        }
        points.push(self.mean);
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.into_iter()
    }
}

/// Medians over stretches of a stage: the midpoint in completed steps, and the median, which is robust to outliers. Values that
/// are not finite are skipped.
pub(super) fn medians(values: impl Iterator<Item = (u64, f64)>, thinning: Thinning) -> Vec<(f64, f64)> {
    let finite: Vec<(u64, f64)> = values.filter(|(_, value)| value.is_finite()).collect();
    thinning
        .cut(&finite)
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

    /// Noise of a batch: a fixed sequence within 0.05 of zero.
    fn noise(step: u64) -> f64 {
        0.05 * ((step * 7919 % 101) as f64 / 50.0 - 1.0)
    }

    #[test]
    fn long_curves_are_thinned_and_short_ones_keep_their_shape() {
        let points: Vec<(u64, f64)> = (0..10_000).map(|step| (step, step as f64)).collect();
        let thinning = Thinning::of(10_000, 30_000, 30);
        assert_eq!(thinning, Thinning { stretch: 23, least: 12 });
        let thin = curve(&points, thinning).line;
        assert_eq!(thin.len(), 10_000_usize.div_ceil(23));
        assert_eq!(thin[0], (11.5, 10.5));
        assert_eq!(curve(&points[..24], thinning).line.len(), 12);
        assert_eq!(Thinning::of(100, 100, 1).stretch, 1);
        assert_eq!(Thinning::of(1_000_000, 1_000_000_000, 10_000), Thinning { stretch: 50_000, least: 2 });
    }

    #[test]
    fn a_spike_keeps_its_height_and_its_step() {
        for (at, loss) in [(5_003, 9.0), (17, 9.0), (9_999, 0.5)] {
            let mut points: Vec<(u64, f64)> = (0..10_000).map(|step| (step, 3.0 + noise(step))).collect();
            points[at].1 = loss;
            let thin = curve(&points, Thinning { stretch: 50, least: 12 }).line;
            assert!(thin.contains(&(at as f64 + 1.0, loss)), "{at}");
            assert_eq!(thin.len(), 201, "the noise is drawn as its mean");
            assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn a_curve_does_not_end_in_a_single_step() {
        // 361 steps in nines leave one, whose noise would be drawn as a dip.
        let points: Vec<(u64, f64)> = (0..361).map(|step| (step, 2.33 + noise(step))).collect();
        let thin = curve(&points, Thinning { stretch: 9, least: 12 }).line;
        let tail = &points[352..];
        let mean = tail.iter().map(|(_, loss)| loss).sum::<f64>() / tail.len() as f64;
        assert!((thin.last().expect("has points").1 - mean).abs() < 0.01, "{:?} against {mean}", thin.last());
    }

    #[test]
    fn losses_that_are_not_finite_are_kept_apart() {
        let points = [(0, 3.0), (1, f64::NAN), (2, f64::INFINITY), (3, 2.0)];
        let thin = curve(&points, Thinning { stretch: 1, least: 1 });
        assert_eq!(thin, Thinned { line: vec![(1.0, 3.0), (4.0, 2.0)], not_finite: vec![2.0, 3.0] });
        assert_eq!(curve(&[], Thinning::of(1, 1, 1)), Thinned::default());
    }

    #[test]
    fn medians_ignore_outliers() {
        let values = [(0, 1.0), (1, f64::NAN), (2, 3.0), (3, 1e9), (4, 2.0), (5, 4.0)];
        let thinning = Thinning { stretch: 3, least: 1 };
        assert_eq!(medians(values.into_iter(), thinning), [(2.0, 2.0), (5.0, 4.0)]);
        assert!(medians(std::iter::empty(), thinning).is_empty());
    }
}
