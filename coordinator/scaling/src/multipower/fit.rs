//! Fitting the law to curves.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::CurveError;
use super::law::{MultiPowerLaw, Shape};
use super::problem::Problem;
use super::schedule::Schedule;
use super::{Agreement, LossCurve, starts};
use crate::descent::{best, descend, descend_again};
use crate::fit::Objective;
use crate::intervals::{BootstrapOptions, Interval};
use crate::quantile::central;
use crate::resample::{GroupDraws, refit};

/// How to fit the law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurveOptions {
    /// What is minimised: residuals are of log L.
    pub huber_delta: f64,
    /// What is fitted of the decay term.
    pub shape: Shape,
    /// Points that each curve is thinned to.
    pub points: usize,
    /// Stretches that each curve is cut into, which are resampled as wholes: neighbouring points are not independent.
    pub stretches: usize,
    /// How they are resampled; no draws, no intervals.
    pub bootstrap: BootstrapOptions,
}

impl Default for CurveOptions {
    fn default() -> Self {
        Self {
            huber_delta: 1e-3,
            shape: Shape::Free,
            points: 120,
            stretches: 8,
            bootstrap: BootstrapOptions { draws: 100, ..BootstrapOptions::default() },
        }
    }
}

/// A law fitted to curves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveFit {
    /// The law.
    pub law: MultiPowerLaw,
    /// What was fitted of its decay term.
    pub shape: Shape,
    /// The value of the objective, summed over the points.
    pub objective: f64,
    /// Descents made, each from another start.
    pub starts: usize,
    /// How many of them ended within one part in a million of the best.
    pub agreeing: usize,
    /// Whether the best of them ended at a minimum. Without one there is no fit, so it is always true.
    pub converged: bool,
    /// Parameters that lie on a bound of the search: the curves do not determine them.
    pub at_bounds: Vec<String>,
    /// Points it was fitted to, of all curves.
    pub points: usize,
    /// How it agrees with each curve, by name.
    pub agreement: Vec<(String, Agreement)>,
    /// By resampling stretches of curves; `None` where too few different draws determine a law, or none were asked for.
    pub intervals: Option<CurveIntervals>,
}

/// Intervals of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveIntervals {
    /// The share of the draws that each holds.
    pub level: f64,
    /// Of L0.
    #[serde(rename = "L0")]
    pub l0: Interval,
    /// Of alpha.
    pub alpha: Interval,
    /// Of B; both ends are the same where it was given.
    #[serde(rename = "B")]
    pub b: Interval,
    /// What the draws were of and how many of them count.
    pub draws: GroupDraws,
    /// The law of each draw.
    #[serde(skip)]
    pub laws: Vec<MultiPowerLaw>,
}

impl CurveFit {
    /// The interval of the loss at the end of a schedule: what the curves leave open of the law, and nothing of how far the
    /// law itself is off.
    #[must_use]
    pub fn interval_at_end(&self, schedule: &Schedule) -> Option<Interval> {
        let intervals = self.intervals.as_ref()?;
        let ends: Vec<f64> = intervals.laws.par_iter().map(|law| law.predict_end(schedule)).collect();
        central(ends, intervals.level)
    }
}

/// Points for each parameter below which a fit goes through them.
const POINTS_PER_PARAMETER: usize = 3;
/// Over less than this an exponent and a floor cannot be told apart.
const MIN_FACTOR: f64 = 2.0;

/// Fits the law.
///
/// # Errors
/// Where the curves cannot determine what is to be fitted, or no descent converges.
pub fn fit(curves: &[LossCurve], options: &CurveOptions) -> Result<CurveFit, CurveError> {
    fit_from(None, curves, options)
}

/// Fits the law by one descent from the law of nearly the same curves, where there is one.
pub(super) fn fit_from(
    near: Option<&MultiPowerLaw>,
    curves: &[LossCurve],
    options: &CurveOptions,
) -> Result<CurveFit, CurveError> {
    validate(curves)?;
    let thinned: Vec<LossCurve> = curves.iter().map(|curve| curve.thinned(options.points)).collect();
    let problem = Problem::new(&thinned, options.shape);
    check(&thinned, &problem, options.shape)?;
    let objective = Objective::Huber { delta: options.huber_delta };
    let peak = curves.iter().map(|curve| curve.schedule.peak()).fold(0.0, f64::max);
    let starts = match near {
        Some(law) => vec![problem.params(law)],
        None => starts::best(&problem, options.shape, peak),
    };
    let descents: Vec<_> = starts.par_iter().map(|start| descend(&problem, start, objective)).collect();
    let (found, agreeing) = best(&descents).ok_or_else(|| CurveError::NotConverged {
        starts: starts.len(),
        gradient: descents.iter().map(|descent| descent.gradient).fold(f64::INFINITY, f64::min),
    })?;
    let law = problem.law(&found.params);
    let agreement = curves.iter().filter_map(|curve| Some((curve.name.clone(), agreement(&law, curve)?))).collect();
    Ok(CurveFit {
        law,
        shape: options.shape,
        objective: found.objective,
        starts: starts.len(),
        agreeing,
        converged: found.converged,
        at_bounds: problem.at_bounds(&found.params).into_iter().map(str::to_owned).collect(),
        points: problem.losses().len(),
        agreement,
        intervals: intervals(&thinned, &problem, &found.params, options),
    })
}

/// How a law agrees with a curve.
pub(super) fn agreement(law: &MultiPowerLaw, curve: &LossCurve) -> Option<Agreement> {
    let (steps, losses): (Vec<usize>, Vec<f64>) = curve.points.iter().copied().unzip();
    Agreement::of(&law.predict(&curve.schedule, &steps), &losses)
}

fn intervals(curves: &[LossCurve], problem: &Problem, found: &[f64], options: &CurveOptions) -> Option<CurveIntervals> {
    let mut members = Vec::new();
    let mut strata = Vec::new();
    for (number, curve) in curves.iter().enumerate() {
        let stretches = options.stretches.clamp(1, curve.points.len().max(1));
        let first = strata.len();
        members.extend((0..curve.points.len()).map(|point| first + point * stretches / curve.points.len()));
        strata.extend(std::iter::repeat_n(number, stretches));
    }
    let objective = Objective::Huber { delta: options.huber_delta };
    let (laws, draws) = refit(
        &strata,
        &options.bootstrap,
        |_| true,
        |counts| {
            let weighted = problem.weighted(members.iter().map(|&stretch| f64::from(counts[stretch])).collect());
            let end = descend_again(&weighted, found, objective);
            end.converged.then(|| weighted.law(&end.params))
        },
    )?;
    let level = options.bootstrap.level;
    let of = |quantity: fn(&MultiPowerLaw) -> f64| central(laws.iter().map(quantity).collect(), level);
    Some(CurveIntervals {
        level,
        l0: of(|law| law.l0)?,
        alpha: of(|law| law.alpha)?,
        b: of(|law| law.decay.b)?,
        draws,
        laws,
    })
}

fn validate(curves: &[LossCurve]) -> Result<(), CurveError> {
    for curve in curves {
        let (warmup, steps) = (curve.schedule.warmup(), curve.schedule.steps());
        let mut before = 0;
        for &(step, value) in &curve.points {
            if !(value.is_finite() && value > 0.0) {
                return Err(CurveError::BadLoss { curve: curve.name.clone(), step, value });
            }
            if step <= before || step <= warmup || step > steps {
                return Err(CurveError::BadStep { curve: curve.name.clone(), step, warmup, steps });
            }
            before = step;
        }
    }
    Ok(())
}

fn check(curves: &[LossCurve], problem: &Problem, shape: Shape) -> Result<(), CurveError> {
    let (found, parameters) = (problem.losses().len(), shape.parameters());
    let needed = POINTS_PER_PARAMETER * parameters;
    if found < needed {
        return Err(CurveError::TooFewPoints { found, parameters, needed });
    }
    if problem.losses().iter().all(|loss| *loss == problem.losses()[0]) {
        return Err(CurveError::NoVariation);
    }
    let (low, high) = problem.span();
    if high < MIN_FACTOR * low {
        return Err(CurveError::NarrowRange { factor: high / low, needed: MIN_FACTOR });
    }
    let changed = |curve: &LossCurve| curve.points.last().is_some_and(|last| curve.schedule.has_changed_by(last.0));
    if !matches!(shape, Shape::Given { .. }) && !curves.iter().any(changed) {
        return Err(CurveError::NoDecay);
    }
    Ok(())
}
