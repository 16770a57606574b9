//! Several held-out sets: the law of each and of their mean, in nats a byte.

use scaling::{AnalysisOptions, Optimum, ScalingLaw, fit};
use serde::{Deserialize, Serialize};

use super::campaign::Campaign;
use super::measure::{AVERAGE, HeldOut, Measure, Unit, names};
use super::points;

/// The budget at which the paper states its optima, in operations.
const PAPER_BUDGET: f64 = 1e21;

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
    /// D/N of the best model at the largest measured budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_param: Option<f64>,
    /// The same at 1e21 operations, where the paper states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_param_at_1e21: Option<f64>,
    /// Root of the mean squared residual, nats a byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Number of fitted points.
    pub n_points: usize,
}

/// The law of each set and of their mean, by name. Empty if there is a single set.
pub(crate) fn fits(campaign: &Campaign, options: &AnalysisOptions) -> Vec<(String, SetFit)> {
    let names = names(&campaign.plan);
    if names.is_empty() {
        return Vec::new();
    }
    let sets = names.iter().enumerate().map(|(set, name)| (*name, Some(HeldOut::Domain(set))));
    let sets = sets.chain([(AVERAGE, None)]);
    sets.map(|(name, set)| (name.to_owned(), fit_of(campaign, Measure { set, unit: Unit::Byte }, options))).collect()
}

fn fit_of(campaign: &Campaign, measure: Measure, options: &AnalysisOptions) -> SetFit {
    let measured = points::measured(campaign, measure);
    let (rows, _) = points::select(&measured);
    let rows: Vec<scaling::Point> = rows.into_iter().map(points::row).collect();
    let found = fit(&rows, &options.fit);
    let law = found.as_ref().ok().map(|found| found.law);
    let largest = rows.iter().map(|row| 6.0 * row.n * row.d).fold(0.0, f64::max);
    let ratio = |flops: f64| law?.optimum(flops).map(|best: Optimum| best.tokens_per_param);
    let split = law.and_then(|law| law.split());
    let squares =
        |law: ScalingLaw| rows.iter().map(move |row| (row.loss - law.predict(row.n, row.d)).powi(2)).sum::<f64>();
    SetFit {
        error: found.as_ref().err().map(ToString::to_string),
        parameters: law,
        k_squared: split.map(|(k, _)| k * k),
        eta: split.map(|(_, eta)| eta),
        tokens_per_param: ratio(largest),
        tokens_per_param_at_1e21: ratio(PAPER_BUDGET),
        rmse: law.map(|law| (squares(law) / rows.len() as f64).sqrt()),
        n_points: rows.len(),
    }
}
