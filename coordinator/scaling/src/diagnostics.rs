//! What a reader needs before believing a fit.

use serde::{Deserialize, Serialize};

use crate::fit::{FitError, FitOptions};
use crate::held_out::{self, HeldOut, LeftOut};
use crate::interaction::Interaction;
use crate::law::{Law, ScalingLaw};
use crate::monotonicity::Monotonicity;
use crate::outliers::{Outlier, outliers};
use crate::patterns::Patterns;
use crate::point::Point;
use crate::residual::Residual;

/// How well a law describes its table, and how far beyond it the law can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics<L = ScalingLaw> {
    /// Share of the losses' variance that the law explains. Close to one even for a poor fit, because losses vary so
    /// much over a table.
    pub r_squared: f64,
    /// Root of the mean squared residual, in nats.
    pub rmse: f64,
    /// Largest absolute residual, in nats.
    pub worst_residual: f64,
    /// Standard deviation of losses that differ in their seed alone, in nats: luck that no law can predict. `None`
    /// without such losses.
    pub seed_spread: Option<f64>,
    /// The law fitted without the largest size, and its predictions of that size. `None` if the rest determines no law.
    pub held_out: Option<HeldOut<L>>,
    /// Every size, predicted from the others, in ascending order of N.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Whether losses fall in N and in D.
    pub monotonicity: Monotonicity,
    /// Whether the residuals depend on N and D together, for which the law has no term. `None` if there are too few
    /// trunks to tell.
    pub interaction: Option<Interaction>,
    /// Residuals along N and along D.
    #[serde(default)]
    pub patterns: Patterns,
    /// Points far off the law, the worst first.
    #[serde(default)]
    pub outliers: Vec<Outlier>,
    /// The points with the law's predictions, in the table's order.
    pub residuals: Vec<Residual>,
}

/// Diagnoses a law. Also returns why nothing could be held out, if so.
pub(crate) fn diagnose<L: Law>(points: &[Point], law: &L, options: &FitOptions) -> (Diagnostics<L>, Option<FitError>) {
    let residuals: Vec<Residual> = points
        .iter()
        .map(|point| {
            let predicted = law.predict(point.n, point.d);
            let Point { size, n, d, loss, trunk, order, .. } = point.clone();
            Residual { size, n, d, loss, predicted, residual: loss - predicted, trunk, order }
        })
        .collect();
    let count = points.len() as f64;
    let mean = points.iter().map(|point| point.loss).sum::<f64>() / count;
    let variance = points.iter().map(|point| (point.loss - mean).powi(2)).sum::<f64>();
    let unexplained = residuals.iter().map(|row| row.residual.powi(2)).sum::<f64>();
    let worst = residuals.iter().map(|row| row.residual.abs()).fold(0.0, f64::max);
    let (held_out, not_held_out) = match held_out::largest(points, options) {
        Ok(held_out) => (Some(held_out), None),
        Err(error) => (None, Some(error)),
    };
    let diagnostics = Diagnostics {
        r_squared: 1.0 - unexplained / variance,
        rmse: (unexplained / count).sqrt(),
        worst_residual: worst,
        seed_spread: seed_spread(points),
        held_out,
        left_out: held_out::every_size(points, law, options),
        monotonicity: Monotonicity::of(points),
        interaction: Interaction::of(points, &residuals),
        patterns: Patterns::of(points, &residuals),
        outliers: outliers(points, &residuals, law, options),
        residuals,
    };
    (diagnostics, not_held_out)
}

/// Pooled over all models with several seeds. Where a seed occurs twice, something else differs that the table does not
/// tell, and the model does not count.
fn seed_spread(points: &[Point]) -> Option<f64> {
    let mut models: Vec<&Point> = points.iter().filter(|point| !point.seed.is_empty()).collect();
    models.sort_by(|a, b| {
        a.n.total_cmp(&b.n).then(a.d.total_cmp(&b.d)).then(a.setting.cmp(&b.setting)).then(a.seed.cmp(&b.seed))
    });
    let (mut squares, mut freedom) = (0.0, 0);
    for place in models.chunk_by(|a, b| a.n == b.n && a.d == b.d && a.setting == b.setting) {
        if place.windows(2).any(|pair| pair[0].seed == pair[1].seed) {
            continue;
        }
        let mean = place.iter().map(|point| point.loss).sum::<f64>() / place.len() as f64;
        squares += place.iter().map(|point| (point.loss - mean).powi(2)).sum::<f64>();
        freedom += place.len() - 1;
    }
    (freedom > 0).then(|| (squares / freedom as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_seeds_is_pooled_over_places() {
        let point = |n, d, loss, seed: &str| Point { n, d, loss, seed: seed.to_owned(), ..Point::default() };
        assert_eq!(seed_spread(&[point(1.0, 1.0, 3.0, "0"), point(1.0, 2.0, 2.0, "1")]), None);
        let pairs = [
            point(1.0, 1.0, 3.0, "0"),
            point(2.0, 1.0, 2.0, "0"),
            point(1.0, 1.0, 3.2, "1"),
            point(2.0, 1.0, 2.2, "1"),
        ];
        let spread = seed_spread(&pairs).expect("there are pairs");
        assert!((spread - 0.2 / 2.0_f64.sqrt()).abs() < 1e-12, "{spread}");
        // What differs in a setting beside the seed, or has no seed, says nothing of seeds.
        let set = |setting: &str, point: &Point| Point { setting: setting.to_owned(), ..point.clone() };
        let mut others = pairs.to_vec();
        others.extend(pairs.iter().map(|pair| Point { loss: pair.loss + 5.0, ..set("another rate", pair) }));
        others.push(point(1.0, 1.0, 9.0, ""));
        assert!((seed_spread(&others).expect("there are pairs") - spread).abs() < 1e-12);
        assert_eq!(seed_spread(&[point(1.0, 1.0, 3.0, ""), point(1.0, 1.0, 3.5, "")]), None);
        assert_eq!(seed_spread(&[point(1.0, 1.0, 3.0, "0"), point(1.0, 1.0, 3.5, "0")]), None);
    }
}
