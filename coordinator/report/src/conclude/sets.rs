//! Several held-out sets: the law of each and of their mean, in nats a byte.

use scaling::{AnalysisOptions, Interval, ScalingLaw, analyse};
use serde::{Deserialize, Serialize};

use super::campaign::Campaign;
use super::counting::Counting;
use super::measure::{AVERAGE, HeldOut, Measure, Unit, names};
use super::points::{self, Repeated};

/// The law of one held-out set, in nats a byte. Without a law, only the error and the count are present.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetFit {
    /// Why there is no law.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ScalingLaw>,
    /// K^2 of N_opt / D_opt = K^2 (C/6)^eta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k_squared: Option<f64>,
    /// eta of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Why the points do not determine the law, if they do not. Then nothing that follows from it is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undetermined: Option<String>,
    /// D/N of the best model at the largest measured budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_param: Option<f64>,
    /// Interval of `tokens_per_param`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_param_interval: Option<Interval>,
    /// Whether that model lies within the measured N and D.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<bool>,
    /// Root of the mean squared residual, nats a byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Number of fitted points.
    pub n_points: usize,
}

/// The law of each set and of their mean, by name. Empty if there is a single set.
pub(crate) fn fits(
    campaign: &Campaign,
    options: &AnalysisOptions,
    counting: Counting,
    repeated: Repeated,
) -> Vec<(String, SetFit)> {
    let names = names(&campaign.plan);
    if names.is_empty() {
        return Vec::new();
    }
    let sets = names.iter().enumerate().map(|(set, name)| (*name, Some(HeldOut::Domain(set))));
    let sets = sets.chain([(AVERAGE, None)]);
    let fit = |set| fit_of(campaign, Measure { set, unit: Unit::Byte }, options, counting, repeated);
    sets.map(|(name, set)| (name.to_owned(), fit(set))).collect()
}

fn fit_of(
    campaign: &Campaign,
    measure: Measure,
    options: &AnalysisOptions,
    counting: Counting,
    repeated: Repeated,
) -> SetFit {
    let measured = points::measured(campaign, measure);
    let (rows, _) = points::select(&measured, repeated);
    let row = |point| scaling::Point { n: counting.n(&campaign.plan, point), ..points::row(point) };
    let rows: Vec<scaling::Point> = rows.into_iter().map(row).collect();
    let largest = rows.iter().map(|row| options.cost.flops(row.n, row.d)).fold(0.0, f64::max);
    let found = analyse(&rows, &AnalysisOptions { budgets: vec![largest], ..options.clone() });
    let analysis = found.as_ref().ok();
    let law = analysis.map(|found| found.fit.law);
    let undetermined = analysis.and_then(|found| found.undetermined.as_ref());
    let split = law.filter(|_| undetermined.is_none()).and_then(|law| law.split());
    let best = analysis.and_then(|found| found.optima.first());
    SetFit {
        error: found.as_ref().err().map(ToString::to_string),
        parameters: law,
        undetermined: undetermined.map(ToString::to_string),
        k_squared: split.map(|(k, _)| k * k),
        eta: split.map(|(_, eta)| eta),
        tokens_per_param: best.map(|at| at.best.tokens_per_param),
        tokens_per_param_interval: best.and_then(|at| at.tokens_per_param),
        measured: best.map(|at| at.measured),
        rmse: analysis.map(|found| found.diagnostics.rmse),
        n_points: rows.len(),
    }
}
