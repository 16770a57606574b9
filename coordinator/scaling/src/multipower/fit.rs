//! Fits the multi-power law to curves.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::error::CurveError;
use super::law::{MultiPowerLaw, Shape};
use super::problem::Problem;
use super::schedule::Schedule;
use super::{Agreement, LossCurve, starts};
use crate::descent::{best, descend, descend_again};
use crate::intervals::{BootstrapOptions, Interval};
use crate::objective::Objective;
use crate::quantile::central;
use crate::resample::{GroupDraws, refit};

/// Options of the fit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurveOptions {
    /// Huber threshold, in units of log L.
    pub huber_delta: f64,
    /// Which parameters of the decay term are fitted.
    pub shape: Shape,
    /// Number of points that each curve is thinned to.
    pub points: usize,
    /// Number of stretches per curve. They are resampled as wholes, because neighbouring points are not independent.
    pub stretches: usize,
    /// How stretches are resampled; zero draws give no intervals.
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
    pub law: MultiPowerLaw,
    /// Which parameters of the decay term were fitted.
    pub shape: Shape,
    /// Value of the objective, summed over the points.
    pub objective: f64,
    /// Number of descents, each from another start.
    pub starts: usize,
    /// Number of descents that ended within one part in a million of the best.
    pub agreeing: usize,
    /// Always true: a fit exists only if the best descent converged.
    pub converged: bool,
    /// Parameters that lie on a bound of the search, which the curves do not determine.
    pub at_bounds: Vec<String>,
    /// Number of points fitted, over all curves.
    pub points: usize,
    /// Agreement with each curve, by name.
    pub agreement: Vec<(String, Agreement)>,
    /// By resampling stretches of curves; `None` if too few different draws determine a law, or no draws were
    /// requested.
    pub intervals: Option<CurveIntervals>,
}

/// Intervals of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveIntervals {
    /// Probability with which each interval holds the truth.
    pub level: f64,
    /// Interval of L0.
    #[serde(rename = "L0")]
    pub l0: Interval,
    /// Interval of alpha.
    pub alpha: Interval,
    /// Interval of B; both ends are equal if it was given.
    #[serde(rename = "B")]
    pub b: Interval,
    /// The draws behind the intervals.
    pub draws: GroupDraws,
    /// The law of each draw.
    #[serde(skip)]
    pub laws: Vec<MultiPowerLaw>,
}

impl CurveFit {
    /// Interval of the loss at the end of a schedule. It covers what the curves leave open about the law, but not how
    /// wrong the law itself is.
    #[must_use]
    pub fn interval_at_end(&self, schedule: &Schedule) -> Option<Interval> {
        let intervals = self.intervals.as_ref()?;
        let ends: Vec<f64> = intervals.laws.par_iter().map(|law| law.predict_end(schedule)).collect();
        central(ends, intervals.level)
    }
}

/// With fewer points per parameter, a fit passes through them.
const POINTS_PER_PARAMETER: usize = 3;
/// Over a smaller range, an exponent and a floor cannot be told apart.
const MIN_FACTOR: f64 = 2.0;

/// Fits the law.
///
/// # Errors
/// Fails if the curves do not determine the parameters to be fitted, or no descent converges.
pub fn fit(curves: &[LossCurve], options: &CurveOptions) -> Result<CurveFit, CurveError> {
    fit_from(None, curves, options)
}

/// Fits the law; with a law of similar curves, by a single descent from it.
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

/// How well a law agrees with a curve.
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
