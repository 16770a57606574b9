//! The peak learning rate with the lowest loss, per arm and size.

use std::collections::BTreeMap;

use scaling::{Difference, Documents};

use super::campaign::Campaign;
use super::documents;
use super::measure::Measure;
use super::points::MeasuredPoint;

/// How the loss of one model depends on its learning rate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OptimumLr {
    pub(crate) arm: Option<String>,
    pub(crate) size: String,
    pub(crate) n: u64,
    /// Learning rates, ascending, each with the loss at the largest amount of data, averaged over seeds.
    pub(crate) losses: Vec<(f64, f64)>,
    /// The vertex of the parabola through the lowest loss and its two neighbours: learning rate and loss. `None` if the first
    /// or the last learning rate has the lowest loss, so the optimum is not bracketed.
    pub(crate) best: Option<(f64, f64)>,
    /// The learning rate with the second lowest loss, and by how much its loss exceeds the lowest. The error is by document,
    /// paired; `None` if the documents of some model were not kept, or the two have different seeds.
    pub(crate) second: Option<(f64, Difference)>,
}

/// One entry per arm and size with at least three learning rates, in the order of the points.
pub(crate) fn optima(campaign: &Campaign, points: &[MeasuredPoint], measure: Measure) -> Vec<OptimumLr> {
    let mut models: Vec<(Option<&str>, &str, u64)> = Vec::new();
    for point in points {
        let model = (point.arm.as_deref(), point.size.as_str(), point.n);
        if !models.contains(&model) {
            models.push(model);
        }
    }
    models.into_iter().filter_map(|model| optimum(campaign, points, measure, model)).collect()
}

fn optimum(
    campaign: &Campaign,
    points: &[MeasuredPoint],
    measure: Measure,
    (arm, size, n): (Option<&str>, &str, u64),
) -> Option<OptimumLr> {
    let of_model = || points.iter().filter(|point| point.arm.as_deref() == arm && point.size == size);
    let longest = of_model().map(|point| point.nominal).max()?;
    // Keyed by bits: positive floats sort like their bit patterns.
    let mut by_lr: BTreeMap<u64, Vec<&MeasuredPoint>> = BTreeMap::new();
    for point in of_model().filter(|point| point.nominal == longest) {
        by_lr.entry(point.peak_lr.to_bits()).or_default().push(point);
    }
    let mean = |points: &[&MeasuredPoint]| points.iter().map(|point| point.loss).sum::<f64>() / points.len() as f64;
    let losses: Vec<(f64, f64)> = by_lr.iter().map(|(&lr, points)| (f64::from_bits(lr), mean(points))).collect();
    let best = (losses.len() >= 3).then(|| lowest(&losses))?;
    let mut ranked: Vec<&Vec<&MeasuredPoint>> = by_lr.values().collect();
    ranked.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    let second = match ranked.as_slice() {
        [first, second, ..] => {
            behind(campaign, second, first, measure).map(|difference| (second[0].peak_lr, difference))
        }
        _ => None,
    };
    Some(OptimumLr { arm: arm.map(str::to_owned), size: size.to_owned(), n, losses, best, second })
}

/// The mean loss of some models minus that of others of the same seeds, with its error by document.
fn behind(
    campaign: &Campaign,
    some: &[&MeasuredPoint],
    others: &[&MeasuredPoint],
    measure: Measure,
) -> Option<Difference> {
    let seeds = |points: &[&MeasuredPoint]| {
        let mut seeds: Vec<u64> = points.iter().map(|point| point.seed).collect();
        seeds.sort_unstable();
        seeds
    };
    if seeds(some) != seeds(others) {
        return None;
    }
    let mean = |points: &[&MeasuredPoint]| {
        let all: Option<Vec<Documents>> =
            points.iter().map(|point| documents::of(campaign, &point.stage, measure)).collect();
        Documents::mean_of(&all?)
    };
    mean(some)?.minus(&mean(others)?)
}

/// The vertex of the parabola through the lowest loss and its neighbours, over the logarithm of the learning rate.
fn lowest(losses: &[(f64, f64)]) -> Option<(f64, f64)> {
    let middle = (0..losses.len()).min_by(|a, b| losses[*a].1.total_cmp(&losses[*b].1))?;
    let (before, at, after) = (losses.get(middle.checked_sub(1)?)?, losses[middle], losses.get(middle + 1)?);
    let (left, right) = (before.0.ln() - at.0.ln(), after.0.ln() - at.0.ln());
    let (rise_left, rise_right) = ((before.1 - at.1) / left, (after.1 - at.1) / right);
    let curvature = (rise_right - rise_left) / (right - left);
    // Three equal losses have no minimum.
    (curvature > 0.0).then(|| {
        let slope = rise_left - curvature * left;
        let shift = -slope / (2.0 * curvature);
        (at.0 * shift.exp(), at.1 + slope * shift + curvature * shift * shift)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertex_of_a_parabola_is_found_and_none_that_is_not_bracketed() {
        let loss = |lr: f64| 2.5 + 0.1 * (lr.ln() - 0.013_f64.ln()).powi(2);
        let losses: Vec<(f64, f64)> = [0.002, 0.005, 0.01, 0.03, 0.1].map(|lr| (lr, loss(lr))).to_vec();
        let (lr, least) = lowest(&losses).expect("is bracketed");
        assert!((lr / 0.013 - 1.0).abs() < 1e-9 && (least - 2.5).abs() < 1e-9, "{lr} {least}");
        assert_eq!(lowest(&losses[..3]), None, "falls to the last");
        assert_eq!(lowest(&losses[3..]), None, "rises from the first");
        assert_eq!(lowest(&[(1.0, 3.0), (2.0, 3.0), (3.0, 3.0)]), None);
    }
}
