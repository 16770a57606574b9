//! Points far off the law, and whether it is the point or the law that is off.

use serde::{Deserialize, Serialize};

use crate::fit::{FitOptions, refit};
use crate::law::{Law, Params};
use crate::noise::scale;
use crate::point::Point;
use crate::residual::Residual;
use crate::solver::Problem;

/// A point far off the law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlier {
    /// Index in the table, from 0.
    pub index: usize,
    /// Name of the size.
    pub size: String,
    /// Parameter count.
    pub n: f64,
    /// Token count.
    pub d: f64,
    /// Measured minus predicted, in nats.
    pub residual: f64,
    /// The residual of log L over the typical one, both from the law fitted without the outliers.
    pub deviations: f64,
    /// Whether its neighbours lie off on the same side: then the law does not follow the losses there, and the run need
    /// not be at fault.
    #[serde(default)]
    pub is_misfit: bool,
}

/// Residuals of this many standard deviations occur once in two million points of normal noise.
const OUTLYING: f64 = 5.0;
/// Fits without the outliers found so far. Some stand out only once worse ones no longer bend the law.
const ROUNDS: usize = 4;
/// The law is fitted without at most this share of the points.
const MOST_LEFT_OUT: f64 = 0.2;
/// Neighbours that are looked at.
const NEIGHBOURS: usize = 4;
/// Neighbours off by this many typical residuals in the mean lie off together.
const OFF: f64 = 2.0;

/// The points with disproportionate residuals, the worst first.
pub(crate) fn outliers<L: Law>(
    points: &[Point],
    residuals: &[Residual],
    law: &L,
    options: &FitOptions,
) -> Vec<Outlier> {
    let Trimmed { scaled, .. } = Trimmed::of(points, law, options);
    let mut found: Vec<Outlier> = residuals
        .iter()
        .zip(&scaled)
        .enumerate()
        .filter(|(_, (_, deviation))| deviation.abs() > OUTLYING)
        .map(|(index, (row, deviation))| Outlier {
            index,
            size: row.size.clone(),
            n: row.n,
            d: row.d,
            residual: row.residual,
            deviations: deviation.abs(),
            is_misfit: is_misfit(points, &scaled, index),
        })
        .collect();
    found.sort_by(|a, b| b.deviations.total_cmp(&a.deviations));
    found
}

/// A law fitted without the points far off it.
#[derive(Debug, Clone)]
pub(crate) struct Trimmed {
    /// The points that it is fitted to.
    pub(crate) kept: Vec<bool>,
    /// The law; `None` if it is fitted to all points.
    pub(crate) params: Option<Params>,
    /// Residuals of log L of all points over the typical one.
    scaled: Vec<f64>,
}

impl Trimmed {
    /// From the law of all points.
    pub(crate) fn of<L: Law>(points: &[Point], law: &L, options: &FitOptions) -> Self {
        let problem = Problem::new(L::FORM, points);
        let start = problem.params(law);
        let kept = vec![true; points.len()];
        let scaled = deviations::<L>(points, law, &kept);
        let mut trimmed = Self { kept, params: None, scaled };
        for _ in 0..ROUNDS {
            let next: Vec<bool> = trimmed.scaled.iter().map(|deviation| deviation.abs() <= OUTLYING).collect();
            let left_out = next.iter().filter(|kept| !**kept).count();
            if next == trimmed.kept || left_out as f64 > MOST_LEFT_OUT * points.len() as f64 {
                break;
            }
            let weighted = problem.keeping(&next);
            let Some(found) = refit(&weighted, &start, options) else { break };
            let scaled = deviations::<L>(points, &weighted.law(&found.params), &next);
            trimmed = Self { kept: next, params: Some(found.params), scaled };
        }
        trimmed
    }
}

/// Residuals of log L over the typical one of the points that are kept.
fn deviations<L: Law>(points: &[Point], law: &L, kept: &[bool]) -> Vec<f64> {
    let logs: Vec<f64> = points.iter().map(|point| (point.loss / law.predict(point.n, point.d)).ln()).collect();
    let of_kept: Vec<f64> = logs.iter().zip(kept).filter(|(_, kept)| **kept).map(|(log, _)| *log).collect();
    let freedom = (of_kept.len() as f64 - L::PARAMETERS.len() as f64).max(1.0);
    // Rounding noise must not set the scale.
    let typical = scale(&of_kept, freedom).max(1e-7);
    logs.iter().map(|log| log / typical).collect()
}

/// Whether the points around a point lie off on its side, all but one of them at least.
fn is_misfit(points: &[Point], scaled: &[f64], index: usize) -> bool {
    let log = |quantity: fn(&Point) -> f64| {
        let logs: Vec<f64> = points.iter().map(|point| quantity(point).ln()).collect();
        let (low, high) = logs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
        logs.into_iter().map(move |log| log / (high - low).max(1e-12)).collect::<Vec<_>>()
    };
    let (x, y) = (log(|point| point.n), log(|point| point.d));
    let mut others: Vec<(f64, usize)> = (0..points.len())
        .filter(|&other| other != index && (points[other].n, points[other].d) != (points[index].n, points[index].d))
        .map(|other| ((x[other] - x[index]).powi(2) + (y[other] - y[index]).powi(2), other))
        .collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let sides: Vec<f64> =
        others.iter().take(NEIGHBOURS).map(|&(_, other)| scaled[other] * scaled[index].signum()).collect();
    let alike = sides.iter().filter(|side| **side > 0.0).count();
    // Another outlier among the neighbours counts as little as any: the median is asked.
    let mut sorted = sides.clone();
    sorted.sort_by(f64::total_cmp);
    let median = 0.5 * (sorted.get(1).unwrap_or(&0.0) + sorted.get(2).unwrap_or(&0.0));
    sides.len() == NEIGHBOURS && alike + 1 >= NEIGHBOURS && median > OFF
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::diagnostics::diagnose;
    use crate::fit::fit;
    use crate::law::ScalingLaw;

    /// Eight sizes by eight amounts of a known law, with a little noise and what is added.
    fn found(added: impl Fn(usize, usize) -> f64) -> Vec<Outlier> {
        let law = ScalingLaw { c_n: 47.2, alpha: 0.398, c_d: 947.0, beta: 0.535, l0: 1.758 };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut points = Vec::new();
        for i in 0..8_usize {
            for j in 0..8_usize {
                let (n, d) = (2e4 * 2f64.powi(i as i32), 5e5 * 2f64.powi(j as i32));
                let loss = law.predict(n, d) + rng.random_range(-2e-3..2e-3) + added(i, j);
                let size = i.to_string();
                points.push(Point { size: size.clone(), n, d, loss, trunk: size, ..Point::default() });
            }
        }
        let options = FitOptions::default();
        let law = fit(&points, &options).expect("fits").law;
        diagnose(&points, &law, &options).0.outliers
    }

    #[test]
    fn single_points_are_named_and_are_not_the_laws_fault() {
        let off = found(|i, j| if (i, j) == (2, 3) { 0.5 } else { 0.0 });
        assert_eq!(off.iter().map(|outlier| (outlier.index, outlier.is_misfit)).collect::<Vec<_>>(), [(19, false)]);
        assert!(found(|_, _| 0.0).is_empty());
    }

    #[test]
    fn an_outlier_that_others_hide_is_found() {
        // Without the others it would be alone far off; with them the law bends and the typical residual grows.
        let all = [(0, 0), (2, 0), (4, 0), (6, 0), (1, 1), (3, 1), (5, 1)];
        let off = found(|i, j| if all.contains(&(i, j)) { if j == 0 { 0.3 } else { 0.012 } } else { 0.0 });
        let mut indices: Vec<usize> = off.iter().map(|outlier| outlier.index).collect();
        indices.sort_unstable();
        assert_eq!(
            indices,
            all.map(|(i, j)| 8 * i + j)
                .into_iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_corner_that_the_law_does_not_follow_is_a_misfit() {
        let off = found(|i, j| if i > 5 && j < 2 { 0.04 } else { 0.0 });
        assert!(!off.is_empty() && off.iter().all(|outlier| outlier.is_misfit), "{off:?}");
    }
}
