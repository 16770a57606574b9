//! Intervals of quantities that follow from a law.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Resampled, resample};
use crate::clustered::Clustered;
use crate::cost::Cost;
use crate::fit::{Fit, FitOptions};
use crate::floor::Floor;
use crate::intervals::{BootstrapOptions, Interval, Intervals, Method};
use crate::law::{Law, Parameter, Params, ScalingLaw};
use crate::objective::Objective;
use crate::optimum::Optimum;
use crate::outliers::Trimmed;
use crate::point::{Point, distinct};
use crate::solver::Problem;
use crate::units::Units;

/// A law with the table it was fitted to, which allows intervals for derived quantities.
#[derive(Debug, Clone)]
pub struct Predictor<L = ScalingLaw> {
    law: L,
    centre: (f64, f64),
    level: f64,
    cost: Cost,
    /// `None` if a parameter lies on a bound, or a single trunk determines one.
    clustered: Option<Clustered>,
    smoothed: Option<Clustered>,
    /// Uncertainty of the law fitted without the outliers; `None` if no point is an outlier.
    trimmed: Option<Clustered>,
    /// Set where the points hardly tell the floor from zero.
    floor: Option<Floor>,
    at_bounds: Vec<Parameter>,
    /// Whether percentiles of draws of trunks are to be trusted.
    enough_trunks: bool,
    resampled: Option<Resampled<L>>,
    sizes: Range,
    amounts: Range,
}

/// A predicted loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Parameter count.
    pub n: f64,
    /// Token count.
    pub d: f64,
    /// The law's loss, in nats.
    pub loss: f64,
    /// Interval of the law's loss at that N and D; `None` if unbounded. The loss of a model with one seed also varies
    /// by its luck.
    pub interval: Option<Interval>,
    /// By what factor N is above the largest measured one or below the smallest; 1 between them.
    pub beyond_n: f64,
    /// The same for D.
    pub beyond_d: f64,
}

/// The optimal model at one budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BudgetOptimum {
    /// According to the law.
    pub best: Optimum,
    /// Interval of N; `None` if unbounded, or if too many draws have no optimum.
    pub n: Option<Interval>,
    /// Interval of D.
    pub d: Option<Interval>,
    /// Interval of D/N.
    pub tokens_per_param: Option<Interval>,
    /// Interval of the loss.
    #[serde(default)]
    pub loss: Option<Interval>,
    /// Whether its N and D lie within the measured ranges.
    pub measured: bool,
}

/// Covariance of a law's parameters: exponents directly, everything else by its logarithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Covariance {
    /// In the order of the rows.
    pub parameters: Vec<Parameter>,
    /// Exponents directly, natural logarithms of the others.
    pub matrix: Vec<Vec<f64>>,
    /// Degrees of freedom of each parameter's variance.
    pub freedom: Vec<f64>,
}

/// A measured range, from the smallest to the largest value.
#[derive(Debug, Clone, Copy)]
struct Range {
    least: f64,
    greatest: f64,
}

/// Predictions this many times beyond the measured range are far out.
pub const FAR: f64 = 10.0;

/// Where another method's interval is this much wider than the usual one's, it is taken.
const MUCH_WIDER: f64 = 1.35;
/// Where that with and without outliers is this much wider, it is taken: it contains the usual one.
const WIDER: f64 = 1.05;
/// Intervals narrower than this have no width.
const ROUNDING: f64 = 1e-8;
/// Percentiles of draws of fewer trunks are worse than the method they would correct.
const ENOUGH_FOR_PERCENTILES: usize = 20;
/// The floor's standard error, in log L0, above which it is not described by it.
const VAGUE: f64 = 0.25;

/// Whether the floor lies on its bound, alone, or may lie within a factor of several.
fn uncertain_floor<L: Law>(at_bounds: &[Parameter], clustered: Option<&Clustered>) -> bool {
    let has_floor = L::PARAMETERS.contains(&Parameter::L0);
    match clustered {
        Some(clustered) => has_floor && clustered.floor_step().1.error > VAGUE,
        None => at_bounds == [Parameter::L0],
    }
}

/// The uncertainty of the law fitted without the outliers; `None` if no point is an outlier, or if a parameter lies on a bound.
fn trimmed<L: Law>(
    problem: &Problem,
    points: &[Point],
    law: &L,
    fitting: &FitOptions,
    options: &BootstrapOptions,
) -> Option<Clustered> {
    let Trimmed { kept, params, .. } = Trimmed::of(points, law, fitting);
    let params = params?;
    let problem = problem.keeping(&kept);
    if !problem.at_bounds(&params).is_empty() {
        return None;
    }
    let points: Vec<Point> =
        points.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(point, _)| point.clone()).collect();
    let units = Units::of(&points, options.resample);
    Clustered::new(&problem, &params, &units, problem.free_at(&params), fitting.objective)
}

impl<L: Law> Predictor<L> {
    /// A predictor for a law fitted to a table. `fit` and the options are those of the fit.
    #[must_use]
    pub fn of(points: &[Point], fit: &Fit<L>, fitting: &FitOptions, options: &BootstrapOptions) -> Self {
        Self::with(points, fit, fitting, options, None)
    }

    /// With existing draws. Without them, draws are made if nothing else gives intervals.
    pub(crate) fn with(
        points: &[Point],
        fit: &Fit<L>,
        fitting: &FitOptions,
        options: &BootstrapOptions,
        resampled: Option<Resampled<L>>,
    ) -> Self {
        let units = Units::of(points, options.resample);
        let problem = Problem::new(L::FORM, points);
        let params = problem.params(&fit.law);
        let of = |params: &Params, objective: Objective| {
            let free = problem.free_at(params);
            let inside = problem.at_bounds(params).is_empty();
            inside.then(|| Clustered::new(&problem, params, &units, free, objective)).flatten()
        };
        let clustered = of(&params, fitting.objective);
        let smoothed = problem.smoother(&params, fitting.objective).and_then(|objective| {
            let found = problem.descend_from_near(&params, objective);
            found.converged.then(|| of(&found.params, objective)).flatten()
        });
        let trimmed = trimmed(&problem, points, &fit.law, fitting, options);
        let floor = uncertain_floor::<L>(&fit.at_bounds, clustered.as_ref())
            .then(|| Floor::of(&problem, &params, &units, fitting, options.level))
            .flatten();
        let resampled = resampled.or_else(|| resample(points, fit, fitting, options, &units));
        Self {
            law: fit.law,
            centre: problem.centre(),
            level: options.level,
            cost: Cost::default(),
            clustered,
            smoothed,
            trimmed,
            floor,
            at_bounds: fit.at_bounds.clone(),
            enough_trunks: units.count >= ENOUGH_FOR_PERCENTILES,
            resampled,
            sizes: Range::of(&distinct(points, |point| point.n)),
            amounts: Range::of(&distinct(points, |point| point.d)),
        }
    }

    /// The same law, with budgets that pay for this.
    #[must_use]
    pub fn with_cost(self, cost: Cost) -> Self {
        Self { cost, ..self }
    }

    /// Intervals of the parameters; `None` if the table gives none. A parameter on a bound of the search has none, except
    /// for a floor of zero, which has an upper end.
    #[must_use]
    pub fn intervals(&self) -> Option<Intervals> {
        let method = self.method()?;
        Some(Intervals::of(self.level, method, L::PARAMETERS, |parameter| {
            match &self.floor {
                Some(floor) if parameter == Parameter::L0 => return Some((floor.interval, Method::Floors)),
                _ if self.at_bounds.contains(&parameter) => return None,
                _ => {}
            }
            let (interval, by) = self.widest(&in_scale(parameter))?;
            Some((out_of(parameter, interval)?, by))
        }))
    }

    /// Whether the points exclude no floor L0 below the lowest loss.
    #[must_use]
    pub fn floor_is_open(&self) -> bool {
        self.floor.as_ref().is_some_and(|floor| floor.is_open)
    }

    /// The loss at some N and D.
    #[must_use]
    pub fn predict(&self, n: f64, d: f64) -> Predicted {
        Predicted {
            n,
            d,
            loss: self.law.predict(n, d),
            interval: self.interval_in_logs(|law| Some(law.predict(n, d))),
            beyond_n: self.sizes.beyond(n),
            beyond_d: self.amounts.beyond(d),
        }
    }

    /// The optimal model of a budget; `None` if no split is best.
    #[must_use]
    pub fn optimum(&self, flops: f64) -> Option<BudgetOptimum> {
        let cost = self.cost;
        let best = cost.optimum(&self.law, flops)?;
        let interval =
            |quantity: fn(Optimum) -> f64| self.interval_in_logs(|law| cost.optimum(law, flops).map(quantity));
        Some(BudgetOptimum {
            best,
            n: interval(|optimum| optimum.n),
            d: interval(|optimum| optimum.d),
            tokens_per_param: interval(|optimum| optimum.tokens_per_param),
            loss: interval(|optimum| optimum.loss),
            measured: self.sizes.beyond(best.n) == 1.0 && self.amounts.beyond(best.d) == 1.0,
        })
    }

    /// By what factors N and D lie beyond the measured range; 1 if inside.
    #[must_use]
    pub fn beyond(&self, n: f64, d: f64) -> (f64, f64) {
        (self.sizes.beyond(n), self.amounts.beyond(d))
    }

    /// The covariance of the parameters; `None` if the delta method gives no intervals.
    #[must_use]
    pub fn covariance(&self) -> Option<Covariance> {
        let clustered = self.clustered.as_ref()?;
        let value = |parameter: Parameter| {
            move |law: &L| {
                let value = law.get(parameter);
                Some(if parameter.is_exponent() { value } else { value.ln() })
            }
        };
        let slopes: Vec<_> = L::PARAMETERS
            .iter()
            .map(|&parameter| clustered.slope(&self.of_params(value(parameter))))
            .collect::<Option<_>>()?;
        let covariance = clustered.covariance();
        Some(Covariance {
            parameters: L::PARAMETERS.to_vec(),
            matrix: slopes
                .iter()
                .map(|one| slopes.iter().map(|other| one.dot(&(covariance * other))).collect())
                .collect(),
            freedom: slopes.iter().map(|slope| clustered.spread(slope).freedom).collect(),
        })
    }

    /// The interval of a parameter by one method, to compare methods.
    #[must_use]
    pub fn parameter_by(&self, method: Method, parameter: Parameter) -> Option<Interval> {
        if method == Method::Floors && parameter == Parameter::L0 {
            return self.floor.as_ref().map(|floor| floor.interval);
        }
        out_of(parameter, self.by(method, &in_scale(parameter))?)
    }

    /// The interval of a loss by one method, to compare methods.
    #[must_use]
    pub fn loss_by(&self, method: Method, n: f64, d: f64) -> Option<Interval> {
        self.by(method, &|law: &L| Some(law.predict(n, d).ln()))?.out_of_logs()
    }

    fn by(&self, method: Method, quantity: &dyn Fn(&L) -> Option<f64>) -> Option<Interval> {
        let of_params = self.of_params(quantity);
        match method {
            Method::Clustered => self.clustered.as_ref()?.interval(self.level, of_params),
            Method::Smoothed => self.smoothed.as_ref()?.interval(self.level, of_params),
            Method::Trimmed => {
                let without = self.trimmed.as_ref()?.interval(self.level, &of_params)?;
                Some(self.clustered.as_ref()?.interval(self.level, &of_params)?.hull(without))
            }
            Method::Floors => self.floor.as_ref()?.interval_of(self.level, &of_params),
            Method::Percentile => self.resampled.as_ref()?.interval_of(quantity),
        }
    }

    /// The usual method for this table.
    fn method(&self) -> Option<Method> {
        match self {
            Self { clustered: Some(_), .. } => Some(Method::Clustered),
            Self { floor: Some(_), .. } => Some(Method::Floors),
            Self { resampled: Some(_), .. } => Some(Method::Percentile),
            _ => None,
        }
    }

    /// The interval of a quantity, and the method that made it. The usual method assumes that a residual's density at the
    /// law says how the law would move; where others find it to move much more, theirs is taken.
    fn widest(&self, quantity: &dyn Fn(&L) -> Option<f64>) -> Option<(Interval, Method)> {
        let usual = self.method()?;
        let first = self.by(usual, quantity);
        if usual != Method::Clustered {
            // On a bound, or where no draw moves the law, nothing is known.
            return first.filter(|interval| interval.high > interval.low).map(|interval| (interval, usual));
        }
        let width = |interval: Interval| interval.high - interval.low;
        let percentiles = self.enough_trunks.then_some((Method::Percentile, MUCH_WIDER));
        let others = [Some((Method::Trimmed, WIDER)), Some((Method::Smoothed, MUCH_WIDER)), percentiles];
        let others = others.into_iter().flatten();
        let others = others.filter_map(|(method, by)| Some((self.by(method, quantity)?, method, by)));
        let wider =
            |interval: Interval, by: f64| first.is_some_and(|first| width(interval) > by * width(first).max(ROUNDING));
        let wider = others.filter(|&(interval, _, by)| wider(interval, by));
        let widest = wider.max_by(|a, b| width(a.0).total_cmp(&width(b.0)));
        match (first, widest) {
            (Some(_), Some((other, method, _))) => Some((other, method)),
            (Some(first), _) => Some((first, usual)),
            (None, _) => None,
        }
    }

    fn of_params(&self, quantity: impl Fn(&L) -> Option<f64>) -> impl Fn(&Params) -> Option<f64> {
        let centre = self.centre;
        move |params: &Params| quantity(&L::of_params(params, centre))
    }

    /// The interval of a positive quantity.
    fn interval_in_logs(&self, quantity: impl Fn(&L) -> Option<f64>) -> Option<Interval> {
        self.widest(&|law: &L| Some(quantity(law)?.ln()))?.0.out_of_logs()
    }
}

/// A parameter on the scale on which its interval is made: exponents directly, everything else by its logarithm.
fn in_scale<L: Law>(parameter: Parameter) -> impl Fn(&L) -> Option<f64> {
    move |law: &L| {
        let value = law.get(parameter);
        Some(if parameter.is_exponent() { value } else { value.ln() })
    }
}

fn out_of(parameter: Parameter, interval: Interval) -> Option<Interval> {
    if parameter.is_exponent() { Some(interval) } else { interval.out_of_logs() }
}

impl Range {
    fn of(ascending: &[f64]) -> Self {
        let least = ascending.first().copied().unwrap_or(f64::NAN);
        Self { least, greatest: ascending.last().copied().unwrap_or(f64::NAN) }
    }

    /// By what factor a value lies beyond the range, with a small tolerance for rounding at the ends.
    fn beyond(self, value: f64) -> f64 {
        let beyond = (value / self.greatest).max(self.least / value);
        if beyond <= 1.0 + 1e-9 { 1.0 } else { beyond }
    }
}
