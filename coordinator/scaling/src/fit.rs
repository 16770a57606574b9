//! Fits the law to a table.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::law::{Form, Law, Parameter, Params, ScalingLaw};
use crate::objective::Objective;
use crate::point::{Point, distinct};
use crate::solver::{Problem, Solution};
use crate::starts;

/// Options of a fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FitOptions {
    pub objective: Objective,
}

/// A law fitted to a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit<L = ScalingLaw> {
    pub law: L,
    /// Value of the objective.
    pub objective: f64,
    /// Number of descents, each from another start.
    pub starts: usize,
    /// Number of descents that ended within one part in a million of the best. A small share indicates several minima.
    pub starts_agreeing: usize,
    /// Projected gradient at the end, relative to the sizes of its summands.
    pub gradient: f64,
    /// Parameters that lie on a bound of the search, which the table does not determine.
    pub at_bounds: Vec<Parameter>,
}

/// A table that has no fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// A number that is not positive and finite.
    #[error("point {index} ({size}) has {quantity} = {value}: it must be finite and above zero")]
    BadPoint {
        /// Index in the table, from 0.
        index: usize,
        /// Name of the point's size.
        size: String,
        /// `n`, `d` or `loss`.
        quantity: &'static str,
        value: f64,
    },
    /// Fewer distinct places (N, D) than a law with residuals needs.
    #[error("the table has {found} distinct points (N, D): the law's parameters need at least {needed}")]
    TooFewPoints {
        /// Number of places.
        found: usize,
        /// Number needed.
        needed: usize,
    },
    /// Too few values of N or D to tell a power law from a constant.
    #[error("the table has {found} distinct {quantity}: the law needs at least {needed}")]
    TooFewValues {
        /// `sizes (N)` or `token counts (D)`.
        quantity: &'static str,
        /// Number of values.
        found: usize,
        /// Number needed.
        needed: usize,
    },
    /// N and D vary together, so their effects cannot be told apart.
    #[error("log N and log D correlate at {correlation:.4}: train some sizes on other multiples of their parameters")]
    Confounded {
        /// Pearson's correlation of log N and log D.
        correlation: f64,
    },
    /// All losses are equal.
    #[error("all losses are equal: a law has nothing to describe")]
    NoVariation,
    /// The threshold of Huber's function is not positive and finite.
    #[error("the Huber threshold is {delta}: it must be finite and above zero")]
    BadThreshold { delta: f64 },
    /// No descent reached a minimum.
    #[error("none of {starts} descents converged (relative gradient {gradient:.1e})")]
    NotConverged {
        /// Number of descents.
        starts: usize,
        /// Relative gradient at the end of the best one.
        gradient: f64,
    },
}

/// A power law plus a constant has three parameters in one variable.
pub(crate) const MIN_VALUES: usize = 3;
const MAX_CORRELATION: f64 = 0.999;

/// Fits the additive law by descents from a grid of starts.
///
/// # Errors
/// Fails if the table does not determine the law, or no descent converges.
pub fn fit(points: &[Point], options: &FitOptions) -> Result<Fit, FitError> {
    fit_law(points, options)
}

/// Fits a law of any form by descents from a grid of starts.
///
/// # Errors
/// Fails if the table does not determine the law, or no descent converges.
pub fn fit_law<L: Law>(points: &[Point], options: &FitOptions) -> Result<Fit<L>, FitError> {
    validate(points, options, least_places(L::FORM))?;
    let problem = Problem::new(L::FORM, points);
    let solutions: Vec<Solution> =
        starts::grid(L::FORM, &problem).par_iter().map(|start| problem.descend(start, options.objective)).collect();
    let best = best(&solutions).ok_or_else(|| FitError::NotConverged {
        starts: solutions.len(),
        gradient: solutions.iter().map(|solution| solution.gradient).fold(f64::INFINITY, f64::min),
    })?;
    let close = best.objective * (1.0 + 1e-6) + 1e-24;
    Ok(Fit {
        law: problem.law(&best.params),
        objective: best.objective,
        starts: solutions.len(),
        starts_agreeing: solutions.iter().filter(|solution| solution.objective <= close).count(),
        gradient: best.gradient,
        at_bounds: problem.at_bounds(&best.params),
    })
}

/// The converged solution with the lowest objective; the first among equals, so that threads do not matter.
pub(crate) fn best(solutions: &[Solution]) -> Option<&Solution> {
    let converged = solutions.iter().filter(|solution| solution.converged && solution.objective.is_finite());
    converged.min_by(|a, b| a.objective.total_cmp(&b.objective))
}

/// Refits a table with other weights or losses, starting from the table's own solution.
pub(crate) fn refit(problem: &Problem, start: &Params, options: &FitOptions) -> Option<Solution> {
    let solution = problem.descend_from_near(start, options.objective);
    solution.converged.then_some(solution)
}

/// One more than the number of parameters; with fewer points the residuals are meaningless.
pub(crate) fn least_places(form: Form) -> usize {
    match form {
        Form::Minicpm => 6,
        Form::Kaplan => 5,
    }
}

fn validate(points: &[Point], options: &FitOptions, least_places: usize) -> Result<(), FitError> {
    if let Objective::Huber { delta } = options.objective
        && !(delta.is_finite() && delta > 0.0)
    {
        return Err(FitError::BadThreshold { delta });
    }
    for (index, point) in points.iter().enumerate() {
        for (quantity, value) in [("n", point.n), ("d", point.d), ("loss", point.loss)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(FitError::BadPoint { index, size: point.size.clone(), quantity, value });
            }
        }
    }
    for (quantity, found) in [
        ("sizes (N)", distinct(points, |point| point.n).len()),
        ("token counts (D)", distinct(points, |point| point.d).len()),
    ] {
        if found < MIN_VALUES {
            return Err(FitError::TooFewValues { quantity, found, needed: MIN_VALUES });
        }
    }
    let mut places: Vec<(f64, f64)> = points.iter().map(|point| (point.n, point.d)).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    places.dedup();
    if places.len() < least_places {
        return Err(FitError::TooFewPoints { found: places.len(), needed: least_places });
    }
    let correlation = correlation(&places);
    if correlation.abs() > MAX_CORRELATION {
        return Err(FitError::Confounded { correlation });
    }
    if points.iter().all(|point| point.loss == points[0].loss) {
        return Err(FitError::NoVariation);
    }
    Ok(())
}

/// Pearson's correlation of the logarithms.
fn correlation(places: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = places.iter().map(|(n, d)| (n.ln(), d.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) = logs.iter().fold((0.0, 0.0), |(x, y), log| (x + log.0 / count, y + log.1 / count));
    let [mut xx, mut xy, mut yy] = [0.0; 3];
    for (x, y) in logs.iter().map(|log| (log.0 - mean_x, log.1 - mean_y)) {
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    xy / (xx * yy).sqrt()
}
