//! Intervals of quantities that follow from a law.

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Resampled, resample};
use crate::clustered::Clustered;
use crate::fit::{Fit, FitOptions};
use crate::intervals::{BootstrapOptions, Interval, Intervals, Method};
use crate::law::{Law, Parameter, Params, ScalingLaw};
use crate::optimum::Optimum;
use crate::point::{Point, distinct};
use crate::solver::Problem;
use crate::units::Units;

/// A law with the table it was fitted to, which allows intervals for derived quantities.
#[derive(Debug, Clone)]
pub struct Predictor<L = ScalingLaw> {
    law: L,
    centre: (f64, f64),
    level: f64,
    /// `None` if a parameter lies on a bound, or a single trunk determines one.
    clustered: Option<Clustered>,
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
        let clustered = if fit.at_bounds.is_empty() {
            Clustered::new(&problem, &params, &units.members, fitting.objective)
        } else {
            None
        };
        let resampled = match clustered {
            None => resampled.or_else(|| resample(points, fit, fitting, options, &units)),
            Some(_) => resampled,
        };
        Self {
            law: fit.law,
            centre: problem.centre(),
            level: options.level,
            clustered,
            resampled,
            sizes: Range::of(&distinct(points, |point| point.n)),
            amounts: Range::of(&distinct(points, |point| point.d)),
        }
    }

    /// Intervals of the parameters; `None` if the table gives none.
    #[must_use]
    pub fn intervals(&self) -> Option<Intervals> {
        let method = self.method()?;
        Some(Intervals::of(self.level, method, L::PARAMETERS, |parameter| {
            if parameter.is_exponent() {
                self.interval(|law| Some(law.get(parameter)))
            } else {
                self.interval_in_logs(|law| Some(law.get(parameter)))
            }
        }))
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

    /// The optimal model of a budget C = 6ND; `None` if no split is best.
    #[must_use]
    pub fn optimum(&self, flops: f64) -> Option<BudgetOptimum> {
        let best = self.law.optimum(flops)?;
        let interval = |quantity: fn(Optimum) -> f64| self.interval_in_logs(|law| law.optimum(flops).map(quantity));
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

    fn method(&self) -> Option<Method> {
        match (&self.clustered, &self.resampled) {
            (Some(_), _) => Some(Method::Clustered),
            (None, Some(_)) => Some(Method::Percentile),
            (None, None) => None,
        }
    }

    fn of_params(&self, quantity: impl Fn(&L) -> Option<f64>) -> impl Fn(&Params) -> Option<f64> {
        let centre = self.centre;
        move |params: &Params| quantity(&L::of_params(params, centre))
    }

    fn interval(&self, quantity: impl Fn(&L) -> Option<f64>) -> Option<Interval> {
        match &self.clustered {
            Some(clustered) => clustered.interval(self.level, self.of_params(quantity)),
            None => self.resampled.as_ref()?.interval_of(quantity),
        }
    }

    /// The interval of a positive quantity.
    fn interval_in_logs(&self, quantity: impl Fn(&L) -> Option<f64>) -> Option<Interval> {
        self.interval(|law| Some(quantity(law)?.ln()))?.out_of_logs()
    }
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
