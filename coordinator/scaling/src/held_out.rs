//! Predicts sizes from the others.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fit::{FitError, FitOptions, MIN_VALUES, fit_law, least_places, refit};
use crate::law::{Law, ScalingLaw};
use crate::point::{Point, distinct};
use crate::solver::Problem;

/// The losses of the largest size, predicted from all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOut<L = ScalingLaw> {
    /// Name of the size.
    pub size: String,
    /// Parameter count of the size.
    pub n: f64,
    /// The law fitted to the other sizes.
    pub law: L,
    /// Mean absolute relative error.
    pub mean_error: f64,
    /// Largest absolute relative error.
    pub max_error: f64,
    /// The predictions, one per point.
    pub points: Vec<Prediction>,
}

/// A loss predicted without being seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Token count.
    pub d: f64,
    /// The measured loss, in nats.
    pub loss: f64,
    /// The loss according to the other sizes, in nats.
    pub predicted: f64,
    /// (predicted - measured) / measured.
    pub relative_error: f64,
}

/// A size that was left out, and how well the others predict it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Name of the size.
    pub size: String,
    /// Parameter count of the size.
    pub n: f64,
    /// Number of its points.
    pub points: usize,
    /// Mean absolute relative error; `None` if the other sizes determine no law.
    pub mean_error: Option<f64>,
    /// Mean signed relative error; positive if the others predict too high a loss.
    pub mean_bias: Option<f64>,
    /// Largest absolute relative error.
    pub max_error: Option<f64>,
}

/// Holds out a whole size, never single points: the rest of a point's trunk would give its loss away.
pub(crate) fn largest<L: Law>(points: &[Point], options: &FitOptions) -> Result<HeldOut<L>, FitError> {
    let largest = distinct(points, |point| point.n).pop().unwrap_or_default();
    let (held, rest): (Vec<&Point>, Vec<&Point>) = points.iter().partition(|point| point.n == largest);
    let law = fit_law::<L>(&rest.into_iter().cloned().collect::<Vec<_>>(), options)?.law;
    let points: Vec<Prediction> = held
        .iter()
        .map(|point| {
            let predicted = law.predict(point.n, point.d);
            let relative_error = (predicted - point.loss) / point.loss;
            Prediction { d: point.d, loss: point.loss, predicted, relative_error }
        })
        .collect();
    let errors = points.iter().map(|point| point.relative_error.abs());
    Ok(HeldOut {
        size: held.first().map(|point| point.size.clone()).unwrap_or_default(),
        n: largest,
        law,
        mean_error: errors.clone().sum::<f64>() / points.len() as f64,
        max_error: errors.fold(0.0, f64::max),
        points,
    })
}

/// Leaves out every size in turn, in ascending order of N. Each search starts from the law of all sizes.
pub(crate) fn every_size<L: Law>(points: &[Point], law: &L, options: &FitOptions) -> Vec<LeftOut> {
    let problem = Problem::new(L::FORM, points);
    let start = problem.params(law);
    let leave_out = |n: f64| {
        let held: Vec<&Point> = points.iter().filter(|point| point.n == n).collect();
        let rest: Vec<Point> = points.iter().filter(|point| point.n != n).cloned().collect();
        let weights: Vec<f64> = points.iter().map(|point| f64::from(point.n != n)).collect();
        let law: Option<L> = determined(L::FORM, &rest)
            .then(|| problem.weighted(&weights))
            .and_then(|weighted| refit(&weighted, &start, options).map(|found| weighted.law(&found.params)));
        let errors: Option<Vec<f64>> =
            law.map(|law| held.iter().map(|point| (law.predict(point.n, point.d) - point.loss) / point.loss).collect());
        let mean = |of: fn(f64) -> f64| {
            errors.as_ref().map(|errors| errors.iter().map(|&error| of(error)).sum::<f64>() / errors.len() as f64)
        };
        LeftOut {
            size: held.first().map(|point| point.size.clone()).unwrap_or_default(),
            n,
            points: held.len(),
            mean_error: mean(f64::abs),
            mean_bias: mean(|error| error),
            max_error: errors.as_ref().map(|errors| errors.iter().map(|error| error.abs()).fold(0.0, f64::max)),
        }
    };
    distinct(points, |point| point.n).into_par_iter().map(leave_out).collect()
}

fn determined(form: crate::law::Form, points: &[Point]) -> bool {
    let mut places: Vec<(u64, u64)> = points.iter().map(|point| (point.n.to_bits(), point.d.to_bits())).collect();
    places.sort_unstable();
    places.dedup();
    places.len() >= least_places(form)
        && distinct(points, |point| point.n).len() >= MIN_VALUES
        && distinct(points, |point| point.d).len() >= MIN_VALUES
}
