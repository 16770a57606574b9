//! `fit.json`: the law for programs.

use std::collections::BTreeMap;

use scaling::batch::BatchFit;
use scaling::single::Comparison;
use scaling::{
    Analysis, Bootstrap, BootstrapOptions, Cost, Covariance, Form, HeldOut, Interaction, Interval, Intervals, Law,
    LeftOut, Monotonicity, Objective, Outlier, Patterns, Residual, ScalingLaw, Warning,
};
use serde::{Deserialize, Serialize};

use super::conclusion::Conclusion;
use super::documents::HeldOutErrors;
use super::evaluations::{self, Evaluated};
use super::points::Selection;
use super::sets::SetFit;
use super::source::Source;

/// The contents of `fit.json`, for a campaign or a table. Without a law, everything that depends on one is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "L: Law")]
pub struct FitFile<L = ScalingLaw> {
    /// The name of the campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// The identifier of the campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// The table that was fitted; set only without a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Source>,
    /// Why there is no law.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The form of the law.
    #[serde(default)]
    pub law: Form,
    /// The law as text.
    pub form: String,
    /// Whether the points determine the law. Optima are left out if they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub determined: Option<bool>,
    /// Why they do not, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<L>,
    /// Intervals of the parameters, a list of two numbers each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// The covariance behind the intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covariance: Option<Covariance>,
    /// Bootstrap draws, including some of their laws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap<L>>,
    /// The fraction of the variance of losses that the law explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r_squared: Option<f64>,
    /// Root of the mean squared residual, in the unit of the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Mean relative error of the largest size, predicted from the other sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_error: Option<f64>,
    /// The minimum of the objective: by default, the sum over points of the Huber loss of the residuals of log L, comparable with
    /// published fits of the same threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// How it was minimised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Number of fitted points.
    pub n_points: usize,
    /// Number of points in the finished campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_points_planned: Option<usize>,
    /// Number of trunks of the points; points of one trunk share its luck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_trunks: Option<usize>,
    /// The meaning of N, D and the loss.
    pub fitted: Fitted,
    /// What C counts, if not 6ND.
    #[serde(default, skip_serializing_if = "is_six_nd")]
    pub cost: Cost,
    /// Compute-optimal models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimum: Option<OptimumLaw>,
    /// The held-out size, point by point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut<L>>,
    /// Further diagnostics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Judgement>,
    /// The batch-size law, if several batch sizes were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_law: Option<BatchFit>,
    /// Two functional forms of the loss over relative tokens, for a single size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Comparison>,
    /// The law of each held-out set in nats a byte, and of their mean (`average`), if there are several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sets: BTreeMap<String, SetFit>,
    /// The text that a campaign's models were trained on, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TrainingText>,
    /// The errors that come from the held-out documents; absent if those were not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<HeldOutErrors>,
    /// The losses on texts that were added to a campaign with `windtunnel evaluate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluated>,
    pub warnings: Vec<Doubt>,
    /// How the file was produced.
    pub settings: Produced,
}

/// Training text and the passes over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingText {
    /// Tokens of it, each counted once.
    pub train_tokens: u64,
    /// Tokens of each domain, if there are several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domains: BTreeMap<String, u64>,
    /// The most passes that a point made over the text, or over each domain in the order of the data.
    pub most_passes: Vec<f64>,
    /// Number of measured points that made more than one pass over a text.
    pub repeated_points: usize,
    /// Number of those that were left out of the law.
    pub left_out: usize,
}

/// How the objective was minimised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    pub minimised: Objective,
    /// Number of descents.
    pub starts: usize,
    /// Number of descents that reached this minimum.
    pub starts_agreeing: usize,
    /// The final gradient relative to the size of its summands; only rounding should remain.
    #[serde(default)]
    pub relative_gradient: f64,
    /// Parameters at a bound of the search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_bounds: Vec<scaling::Parameter>,
}

/// The meaning of the law's symbols.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// What N counts.
    pub n: String,
    /// What D counts.
    pub d: String,
    /// L.
    pub loss: String,
    /// The unit of L, and of everything below that is a loss; absent where a table does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The fitted points.
    pub points: String,
    /// Their arm, if the recipe has arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Held-out tokens that each loss is averaged over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_tokens: Option<u64>,
}

/// N_opt / D_opt = K^2 (C/6)^eta, evaluated at some budgets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimumLaw {
    /// K^2 of the paper.
    pub k_squared: f64,
    /// eta of the paper: (beta - alpha) / (alpha + beta).
    pub eta: f64,
    /// Optima at ascending budgets.
    pub budgets: Vec<Budget>,
}

/// The best model of a budget C.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// C, operations.
    pub flops: f64,
    /// Parameters.
    pub n: f64,
    /// Tokens.
    pub d: f64,
    /// D/N.
    pub tokens_per_param: f64,
    /// The predicted loss.
    pub loss: f64,
    /// Interval of `n`; null if the draws do not bound it.
    pub n_interval: Option<Interval>,
    /// Interval of `d`, tokens.
    pub d_interval: Option<Interval>,
    /// Interval of `tokens_per_param`.
    pub tokens_per_param_interval: Option<Interval>,
    /// Interval of `loss`.
    #[serde(default)]
    pub loss_interval: Option<Interval>,
    /// Whether it lies within the measured N and D.
    pub measured: bool,
}

/// Further diagnostics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Standard deviation between trunks at the same N and D; null with one seed.
    pub seed_spread: Option<f64>,
    /// The largest absolute residual.
    pub worst_residual: f64,
    /// Whether losses decrease with N and D.
    pub monotonicity: Monotonicity,
    /// Whether residuals depend on N and D jointly.
    pub interaction: Option<Interaction>,
    /// Every size in turn, predicted from the others.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Trends of residuals along N and D.
    #[serde(default)]
    pub patterns: Patterns,
    /// Points far from the law.
    #[serde(default)]
    pub outliers: Vec<Outlier>,
    /// Measured minus predicted loss per point.
    pub residuals: Vec<Residual>,
}

/// A warning for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// The warning as a sentence.
    pub message: String,
    /// The warning as data.
    pub warning: Warning,
}

/// What is needed to reproduce the fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Produced {
    /// The program and its version.
    pub program: String,
    /// The recipe's file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The dataset's identifier, by its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// The options of the bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapOptions>,
    /// The unit that is resampled.
    pub resampled: String,
}

impl Selection {
    /// In words.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::All => "every model at the end of its decay",
            Self::BestLearningRate => {
                "models at the end of their decay; of several peak learning rates the one with the lowest loss, for each \
                 size, seed and amount of data"
            }
        }
    }
}

impl<L: Law> FitFile<L> {
    /// The part common to all fits; the caller adds where the points come from.
    pub(crate) fn of_law(analysis: Option<&Analysis<L>>, n_points: usize, fitted: Fitted, settings: Produced) -> Self {
        let diagnostics = analysis.map(|analysis| &analysis.diagnostics);
        Self {
            campaign: None,
            campaign_id: None,
            table: None,
            error: None,
            law: L::FORM,
            form: L::FORM.text().to_owned(),
            determined: analysis.map(|analysis| analysis.undetermined.is_none()),
            verdict: analysis.and_then(|analysis| analysis.undetermined.as_ref()).map(ToString::to_string),
            parameters: analysis.map(|analysis| analysis.fit.law),
            intervals: analysis.and_then(|analysis| analysis.intervals.clone()),
            covariance: analysis.and_then(|analysis| analysis.covariance.clone()),
            bootstrap: analysis.and_then(|analysis| analysis.bootstrap.clone()),
            r_squared: diagnostics.map(|found| found.r_squared),
            rmse: diagnostics.map(|found| found.rmse),
            held_out_error: diagnostics.and_then(|found| Some(found.held_out.as_ref()?.mean_error)),
            objective: analysis.map(|analysis| analysis.fit.objective),
            search: analysis.map(|analysis| Search {
                minimised: analysis.settings.objective,
                starts: analysis.fit.starts,
                starts_agreeing: analysis.fit.starts_agreeing,
                relative_gradient: analysis.fit.gradient,
                at_bounds: analysis.fit.at_bounds.clone(),
            }),
            n_points,
            n_points_planned: None,
            n_trunks: analysis.map(|analysis| analysis.n_trunks),
            fitted,
            cost: analysis.map(|analysis| analysis.settings.cost).unwrap_or_default(),
            optimum: analysis.and_then(optimum),
            held_out: diagnostics.and_then(|found| found.held_out.clone()),
            diagnostics: diagnostics.map(|found| Judgement {
                seed_spread: found.seed_spread,
                worst_residual: found.worst_residual,
                monotonicity: found.monotonicity,
                interaction: found.interaction,
                left_out: found.left_out.clone(),
                patterns: found.patterns.clone(),
                outliers: found.outliers.clone(),
                residuals: found.residuals.clone(),
            }),
            batch_law: None,
            envelope: None,
            sets: BTreeMap::new(),
            text: None,
            documents: None,
            evaluations: Vec::new(),
            warnings: analysis.map(|analysis| analysis.warnings.iter().map(doubt).collect()).unwrap_or_default(),
            settings,
        }
    }
}

impl Conclusion {
    /// The contents of `fit.json`.
    #[must_use]
    pub fn fit_file(&self) -> FitFile {
        let Self { campaign, selection, fitted, analysis, .. } = self;
        let plan = &campaign.plan;
        let found = analysis.as_ref().ok();
        let meanings = Fitted {
            n: self.counting.meaning_of_n().to_owned(),
            d: "tokens the model was trained on, those of the decay included".to_owned(),
            loss: format!("{}, at the end of the decay", self.measure.in_words(plan)),
            unit: Some(self.measure.unit.in_words().to_owned()),
            points: selection.describe().to_owned(),
            arm: self.arm.clone(),
            validation_tokens: plan.stages.first().map(|stage| stage.spec.validation_tokens),
        };
        let bootstrap = found.map(|analysis| analysis.settings.bootstrap);
        let settings = Produced {
            program: campaign.program.clone(),
            recipe: Some(campaign.recipe_file.clone()),
            dataset: plan.dataset.as_ref().map(|dataset| dataset.id.to_string()),
            bootstrap,
            resampled: bootstrap.unwrap_or_default().resample.describe().to_owned(),
        };
        FitFile {
            campaign: Some(plan.name.clone()),
            campaign_id: Some(plan.campaign.to_string()),
            error: self.refusal(),
            n_points_planned: Some(plan.trials.len()),
            batch_law: self.batch_law.as_ref().and_then(|law| law.fit.as_ref().ok().cloned()),
            envelope: self.envelope.clone(),
            sets: self.sets.iter().cloned().collect(),
            text: plan.dataset.as_ref().map(|dataset| TrainingText {
                train_tokens: dataset.train_tokens,
                domains: dataset.domains.iter().map(|domain| (domain.name.clone(), domain.train_tokens)).collect(),
                most_passes: self.most_passes(),
                repeated_points: self.repeated(),
                left_out: self.left_out,
            }),
            documents: self.documents.clone(),
            evaluations: evaluations::results(campaign),
            ..FitFile::of_law(found, *fitted, meanings, settings)
        }
    }
}

fn is_six_nd(cost: &Cost) -> bool {
    *cost == Cost::SixNd
}

fn doubt(warning: &Warning) -> Doubt {
    Doubt { message: warning.to_string(), warning: warning.clone() }
}

fn optimum<L: Law>(analysis: &Analysis<L>) -> Option<OptimumLaw> {
    if analysis.undetermined.is_some() {
        return None;
    }
    let (k, eta) = analysis.fit.law.split()?;
    let budgets = analysis.optima.iter().map(Budget::from).collect();
    Some(OptimumLaw { k_squared: k * k, eta, budgets })
}

impl From<&scaling::BudgetOptimum> for Budget {
    fn from(at: &scaling::BudgetOptimum) -> Self {
        Self {
            flops: at.best.flops,
            n: at.best.n,
            d: at.best.d,
            tokens_per_param: at.best.tokens_per_param,
            loss: at.best.loss,
            n_interval: at.n,
            d_interval: at.d,
            tokens_per_param_interval: at.tokens_per_param,
            loss_interval: at.loss,
            measured: at.measured,
        }
    }
}
