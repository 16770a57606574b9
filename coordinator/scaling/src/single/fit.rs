//! Fits one form.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::intervals::{Bootstrapped, SingleIntervals, bootstrap, delta};
use super::problem::Problem;
use super::{Form, Observation, SingleError, SingleLaw};
use crate::descent::{Residuals, best, descend};
use crate::intervals::{BootstrapOptions, Interval};
use crate::objective::Objective;

/// Options of the fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SingleOptions {
    pub objective: Objective,
    /// How groups are resampled; also sets the level of the delta method's intervals.
    pub bootstrap: BootstrapOptions,
}

impl Default for SingleOptions {
    fn default() -> Self {
        Self { objective: Objective::LogLeastSquares, bootstrap: BootstrapOptions::default() }
    }
}

/// A law fitted to observations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SingleFit {
    pub law: SingleLaw,
    /// Value of the objective, summed over the observations.
    pub objective: f64,
    /// Number of descents, each from another start.
    pub starts: usize,
    /// Number of descents that ended within one part in a million of the best.
    pub agreeing: usize,
    /// Always true: a fit exists only if the best descent converged.
    pub converged: bool,
    /// The floor vanished: the observations do not show one.
    pub floor_vanished: bool,
    /// The exponent or rate lies on a bound of the search: the observations do not determine it.
    pub rate_at_bound: bool,
    /// Root of the mean squared residual of y.
    pub rmse: f64,
    /// Akaike's criterion, corrected for few points, from the residuals in the units of the objective. Lower is better,
    /// and only differences between fits with the same observations and objective are meaningful. `None` if there are
    /// too few observations for the correction.
    pub aic: Option<f64>,
    /// By resampling groups; `None` if too few different draws determine a law.
    pub bootstrap: Option<Bootstrapped>,
    /// By the delta method, clustered by group; `None` if the law's matrix is singular.
    pub delta: Option<SingleIntervals>,
    /// Number of observations.
    pub observations: usize,
}

/// Fits a form by descents from a grid of starts.
///
/// # Errors
/// Fails if the observations do not determine the form, or no descent converges.
pub fn fit(observations: &[Observation], form: Form, options: &SingleOptions) -> Result<SingleFit, SingleError> {
    validate(observations, form, options.objective)?;
    let problem = Problem::new(observations, form, options.objective);
    let starts = problem.starts();
    let descents: Vec<_> = starts.par_iter().map(|start| descend(&problem, start, options.objective)).collect();
    let (found, agreeing) = best(&descents).ok_or_else(|| SingleError::NotConverged {
        starts: starts.len(),
        gradient: descents.iter().map(|descent| descent.gradient).fold(f64::INFINITY, f64::min),
    })?;
    let law = problem.law(&found.params);
    let (floor_vanished, rate_at_bound) = problem.at_bounds(&found.params);
    let squares = observations.iter().map(|seen| (seen.y - law.predict(seen.x)).powi(2)).sum::<f64>();
    Ok(SingleFit {
        law,
        objective: found.objective,
        starts: starts.len(),
        agreeing,
        converged: found.converged,
        floor_vanished,
        rate_at_bound,
        rmse: (squares / observations.len() as f64).sqrt(),
        aic: akaike(&problem.residuals(&found.params), form.parameters()),
        bootstrap: bootstrap(observations, &problem, &found.params, options),
        delta: delta(observations, &problem, &found.params, options),
        observations: observations.len(),
    })
}

impl SingleFit {
    /// The interval of a prediction, by resampling.
    #[must_use]
    pub fn interval_at(&self, x: f64) -> Option<Interval> {
        self.bootstrap.as_ref()?.interval_of(|law| law.predict(x))
    }
}

/// AICc for normal residuals, counting their spread as one more parameter.
fn akaike(residuals: &[f64], parameters: usize) -> Option<f64> {
    let (n, k) = (residuals.len() as f64, parameters as f64 + 1.0);
    // A fit exact to rounding is as likely as one to the last digit of a double.
    let square = (residuals.iter().map(|r| r * r).sum::<f64>() / n).max(1e-30);
    (n - k - 1.0 > 0.0).then(|| n * square.ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0))
}

pub(super) fn distinct(values: impl Iterator<Item = f64>) -> usize {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values.len()
}

fn validate(observations: &[Observation], form: Form, objective: Objective) -> Result<(), SingleError> {
    if let Objective::Huber { delta } = objective
        && !(delta.is_finite() && delta > 0.0)
    {
        return Err(SingleError::BadThreshold { delta });
    }
    for (index, seen) in observations.iter().enumerate() {
        for (quantity, value) in [("x", seen.x), ("y", seen.y)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(SingleError::BadObservation { index, quantity, value });
            }
        }
    }
    // One more than the number of parameters; with fewer points the residuals are meaningless.
    let (found, needed) = (distinct(observations.iter().map(|seen| seen.x)), form.parameters() + 1);
    if found < needed {
        return Err(SingleError::TooFewValues { form, found, needed });
    }
    if observations.iter().all(|seen| seen.y == observations[0].y) {
        return Err(SingleError::NoVariation);
    }
    if form.has_floor() && !falls(observations) {
        return Err(SingleError::NotFalling { form });
    }
    Ok(())
}

/// Whether the straight line of log y over log x falls.
fn falls(observations: &[Observation]) -> bool {
    let mean = observations.iter().map(|seen| seen.x.ln()).sum::<f64>() / observations.len() as f64;
    observations.iter().map(|seen| (seen.x.ln() - mean) * seen.y.ln()).sum::<f64>() < 0.0
}
