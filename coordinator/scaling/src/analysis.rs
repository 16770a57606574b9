//! The complete analysis of a table: the law, its intervals, the optima, and how far to trust them.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Bootstrap, Resampled, resample};
use crate::budgets::default_budgets;
use crate::cost::Cost;
use crate::diagnostics::{Diagnostics, diagnose};
use crate::fit::{Fit, FitError, FitOptions, fit_law};
use crate::intervals::{BootstrapOptions, Intervals, Method};
use crate::law::{Law, Parameter, ScalingLaw};
use crate::objective::Objective;
use crate::outliers::Outlier;
use crate::point::{Point, distinct};
use crate::predictor::{BudgetOptimum, Covariance, Predictor};
use crate::units::Units;
use crate::verdict::Undetermined;
use crate::warning::{MIN_SPAN, Warning};

/// Options of an analysis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnalysisOptions {
    pub fit: FitOptions,
    /// How intervals are made.
    pub bootstrap: BootstrapOptions,
    /// Budgets C, in FLOPs, at which to state the optimal model; empty means [`default_budgets`].
    pub budgets: Vec<f64>,
    /// What a budget pays for.
    #[serde(default)]
    pub cost: Cost,
}

/// The settings needed to reproduce a result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub objective: Objective,
    /// How intervals were made.
    pub bootstrap: BootstrapOptions,
    /// What a budget pays for.
    #[serde(default)]
    pub cost: Cost,
}

/// A law with everything known about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis<L = ScalingLaw> {
    /// The law and how it was found.
    pub fit: Fit<L>,
    /// Intervals of its parameters; `None` if no method gives any.
    pub intervals: Option<Intervals>,
    /// Covariance of its parameters, from which the intervals follow; `None` if they are percentiles of the draws.
    pub covariance: Option<Covariance>,
    /// Results of resampling the table; `None` if too few draws determine a law.
    pub bootstrap: Option<Bootstrap<L>>,
    /// How well the law describes the table.
    pub diagnostics: Diagnostics<L>,
    /// Why the points do not determine the law, if they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<Undetermined>,
    /// The optimal models, at ascending budgets; empty if no split of a budget is best, or the law is not determined.
    pub optima: Vec<BudgetOptimum>,
    /// Reasons to doubt the law.
    pub warnings: Vec<Warning>,
    /// The settings used.
    pub settings: Settings,
    /// Number of points in the table.
    pub n_points: usize,
    /// Number of trunks they come from; equal to the number of points if those are resampled singly.
    pub n_trunks: usize,
}

/// Fits the additive law to a table, and analyses it.
///
/// # Errors
/// Fails if the table does not determine the law, or no descent converges.
pub fn analyse(points: &[Point], options: &AnalysisOptions) -> Result<Analysis, FitError> {
    analyse_law(points, options)
}

/// Fits a law of any form to a table, and analyses it.
///
/// # Errors
/// Fails if the table does not determine the law, or no descent converges.
pub fn analyse_law<L: Law>(points: &[Point], options: &AnalysisOptions) -> Result<Analysis<L>, FitError> {
    let found = fit_law::<L>(points, &options.fit)?;
    let units = Units::of(points, options.bootstrap.resample);
    let resampled = resample(points, &found, &options.fit, &options.bootstrap, &units);
    let bootstrap = resampled.as_ref().map(Resampled::summary);
    let predictor =
        Predictor::with(points, &found, &options.fit, &options.bootstrap, resampled).with_cost(options.cost);
    let (diagnostics, not_held_out) = diagnose(points, &found.law, &options.fit);
    let intervals = predictor.intervals();
    let undetermined = Undetermined::of(points, &found, intervals.as_ref(), units.count);
    let budgets =
        if options.budgets.is_empty() { default_budgets(points, options.cost) } else { options.budgets.clone() };
    let optima = match &undetermined {
        Some(_) => Vec::new(),
        None => budgets.into_iter().filter_map(|flops| predictor.optimum(flops)).collect(),
    };
    let mut analysis = Analysis {
        intervals,
        undetermined,
        covariance: predictor.covariance(),
        bootstrap,
        diagnostics,
        optima,
        warnings: Vec::new(),
        settings: Settings { objective: options.fit.objective, bootstrap: options.bootstrap, cost: options.cost },
        n_points: points.len(),
        n_trunks: units.count,
        fit: found,
    };
    analysis.warnings = warnings(points, &analysis, not_held_out);
    Ok(analysis)
}

/// With fewer trunks, the number of different draws is so small that their percentiles are coarse.
const ENOUGH_TRUNKS: usize = 10;
/// If a smaller share of descents agrees, on a grid that covers the plane of exponents, there are probably several
/// minima.
const ENOUGH_AGREEING: f64 = 0.25;
const FEW_FAILED: f64 = 0.02;
/// Residuals below this, in nats, are rounding.
const NO_NOISE: f64 = 1e-9;

fn warnings<L: Law>(points: &[Point], analysis: &Analysis<L>, not_held_out: Option<FitError>) -> Vec<Warning> {
    let Analysis { fit, intervals, bootstrap, diagnostics, optima, n_trunks, .. } = analysis;
    let has_no_floor = fit.at_bounds == [Parameter::L0];
    let bounded = intervals.as_ref().and_then(|intervals| intervals.bounded(Parameter::L0));
    let mut warnings: Vec<Warning> = match bounded.filter(|_| has_no_floor) {
        Some(interval) => vec![Warning::NoFloor { interval }],
        None => fit.at_bounds.iter().map(|&parameter| Warning::AtBound { parameter }).collect(),
    };
    if diagnostics.rmse < NO_NOISE {
        warnings.push(Warning::NoNoise);
    }
    if (fit.starts_agreeing as f64) < ENOUGH_AGREEING * fit.starts as f64 {
        warnings.push(Warning::FewStartsAgree { agreeing: fit.starts_agreeing, starts: fit.starts });
    }
    for (along, values) in [("N", distinct(points, |point| point.n)), ("D", distinct(points, |point| point.d))] {
        let factor = values[values.len() - 1] / values[0];
        if factor < MIN_SPAN {
            warnings.push(Warning::NarrowRange { along: along.to_owned(), factor });
        }
    }
    let rows = duplicates(points);
    if rows > 0 {
        warnings.push(Warning::Duplicates { rows });
    }
    match intervals {
        Some(intervals) => warn_of_intervals::<L>(analysis, intervals, &mut warnings),
        None => warnings.push(Warning::NoIntervals { trunks: *n_trunks }),
    }
    if let Some(Bootstrap { draws, .. }) = bootstrap {
        if draws.trunks < ENOUGH_TRUNKS {
            warnings.push(Warning::FewTrunks { trunks: draws.trunks, distinct: draws.distinct });
        }
        let all = draws.used + draws.failed;
        if draws.failed as f64 > FEW_FAILED * all as f64 {
            warnings.push(Warning::DrawsFailed { failed: draws.failed, draws: all });
        }
    }
    warnings.extend(not_held_out.map(|error| Warning::NotHeldOut {
        reason: match error {
            FitError::TooFewValues { quantity, found, needed } => {
                format!("they have {found} distinct {quantity}, and the law needs at least {needed}")
            }
            error => error.to_string(),
        },
    }));
    if let Some(pattern) = diagnostics.interaction.filter(|pattern| pattern.significant) {
        let (n, d) = (range(points.iter().map(|point| point.n)), range(points.iter().map(|point| point.d)));
        warnings.push(Warning::ResidualPattern { t: pattern.t, trunks: pattern.trunks, n, d });
    }
    for (along, places) in diagnostics.patterns.significant() {
        if let Some(worst) = places.iter().max_by(|a, b| a.mean.abs().total_cmp(&b.mean.abs())) {
            let (along, places) = (along.to_owned(), places.len());
            warnings.push(Warning::Systematic { along, places, worst_at: worst.at, worst_mean: worst.mean });
        }
    }
    let (misfits, outliers): (Vec<&Outlier>, Vec<&Outlier>) =
        diagnostics.outliers.iter().partition(|outlier| outlier.is_misfit);
    if let Some(&worst) = outliers.first() {
        warnings.push(Warning::Outliers { count: outliers.len(), worst: worst.clone() });
    }
    if let Some(worst) = misfits.first() {
        let (n, d) = (range(misfits.iter().map(|point| point.n)), range(misfits.iter().map(|point| point.d)));
        warnings.push(Warning::Misfit { count: misfits.len(), n, d, worst: worst.residual });
    }
    for (along, found) in [("N", diagnostics.monotonicity.in_n), ("D", diagnostics.monotonicity.in_d)] {
        if found.violations > 0 {
            let (violations, pairs, worst_rise) = (found.violations, found.pairs, found.worst_rise);
            warnings.push(Warning::NotFalling { along: along.to_owned(), violations, pairs, worst_rise });
        }
    }
    let outside = optima.iter().filter(|optimum| !optimum.measured).count();
    if optima.is_empty() {
        if analysis.undetermined.is_none() {
            warnings.push(Warning::NoOptimum);
        }
    } else if outside > 0 {
        warnings.push(Warning::OptimumOutside { outside, budgets: optima.len() });
    }
    warnings
}

/// Number of rows equal to an earlier one in everything that counts.
fn duplicates(points: &[Point]) -> usize {
    let bits = |point: &Point| [point.n, point.d, point.loss].map(f64::to_bits);
    let mut rows: Vec<([u64; 3], &str)> = points.iter().map(|point| (bits(point), point.trunk.as_str())).collect();
    rows.sort_unstable();
    rows.dedup();
    points.len() - rows.len()
}

fn warn_of_intervals<L: Law>(analysis: &Analysis<L>, intervals: &Intervals, warnings: &mut Vec<Warning>) {
    // An exponent that may be zero, or three times as large, is useless. C_N and C_D are skipped: they change by powers
    // of ten with small changes of their exponents, and mean nothing without them. What the verdict names is not said
    // again, and what lies on a bound has no interval that could be wide.
    let least = analysis.diagnostics.residuals.iter().map(|row| row.loss).fold(f64::INFINITY, f64::min);
    let named = analysis.undetermined.iter().flat_map(|verdict| &verdict.parameters);
    let named: Vec<Parameter> = named.map(|(parameter, _)| *parameter).chain(analysis.fit.at_bounds.clone()).collect();
    for &parameter in L::PARAMETERS.iter().filter(|parameter| !named.contains(parameter)) {
        let Some(interval) = intervals.bounded(parameter) else { continue };
        let is_wide = match parameter {
            Parameter::L0 => interval.high - interval.low > 0.5 * least,
            _ => parameter.is_exponent() && (interval.low <= 0.0 || interval.high > 3.0 * interval.low),
        };
        if is_wide {
            warnings.push(Warning::WideInterval { parameter, interval });
        }
    }
    for method in [Method::Smoothed, Method::Trimmed, Method::Percentile] {
        let of_method = intervals.by_parameter.iter().filter(|(_, by)| **by == method);
        let parameters: Vec<Parameter> = of_method.map(|(parameter, _)| *parameter).collect();
        if !parameters.is_empty() {
            warnings.push(Warning::OtherMethod { parameters, method });
        }
    }
}

/// From the smallest to the largest.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}
