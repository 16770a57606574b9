//! `fit.json`: the law for programs.

use scaling::batch::BatchFit;
use scaling::single::Comparison;
use scaling::{
    BootstrapOptions, FORM, FitError, HeldOut, Interaction, Interval, Intervals, Monotonicity, Objective, Residual,
    ScalingLaw, Warning,
};
use serde::Serialize;

use crate::conclusion::Conclusion;
use crate::points::Selection;

/// The contents of `fit.json`. What there is no law for is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FitFile {
    /// The campaign's name.
    pub campaign: String,
    /// Its identifier.
    pub campaign_id: String,
    /// Why there is no law.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The law as text.
    pub form: &'static str,
    /// Its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<ScalingLaw>,
    /// Their intervals, a list of two numbers each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intervals: Option<Intervals>,
    /// The share of the losses' variance that the law explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_squared: Option<f64>,
    /// Root of the mean squared residual, nats a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Mean relative error of the losses of the largest size, predicted from the other sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_error: Option<f64>,
    /// The value of what was minimised: with the default, the sum over the points of Huber's function of the residual
    /// of log L, which compares with published fits of the same threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<f64>,
    /// How it was minimised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Points the law was fitted to.
    pub n_points: usize,
    /// Points the campaign has when it is finished.
    pub n_points_planned: usize,
    /// Runs they come from: points of one share its luck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_trunks: Option<usize>,
    /// What N, D and the loss are.
    pub fitted: Fitted,
    /// Compute-optimal models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimum: Option<OptimumLaw>,
    /// The held-out size, point by point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// More to judge the law by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Judgement>,
    /// The law of the batch size, where several were tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_law: Option<BatchFit>,
    /// Two forms of the loss over the tokens, in multiples of the fewest, where there is one size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Comparison>,
    /// Reasons for doubt.
    pub warnings: Vec<Doubt>,
    /// What produced all this.
    pub settings: Produced,
}

/// How a law was looked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Search {
    /// What was minimised.
    pub minimised: Objective,
    /// Descents made.
    pub starts: usize,
    /// Descents that ended at this minimum.
    pub starts_agreeing: usize,
}

/// What the law's letters stand for here.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// N.
    pub n: &'static str,
    /// D.
    pub d: &'static str,
    /// L.
    pub loss: &'static str,
    /// Which points.
    pub points: &'static str,
    /// Of which arm, where there are arms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Tokens of held-out text that each loss is a mean over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_tokens: Option<u64>,
}

/// N_opt / D_opt = K^2 (C/6)^eta, and what it comes to at some budgets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptimumLaw {
    /// K^2 of the paper.
    pub k_squared: f64,
    /// eta of the paper: (beta - alpha) / (alpha + beta).
    pub eta: f64,
    /// At ascending budgets.
    pub budgets: Vec<Budget>,
}

/// The best model of a budget C = 6ND.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Budget {
    /// C, operations.
    pub flops: f64,
    /// N.
    pub n: f64,
    /// D.
    pub d: f64,
    /// D/N.
    pub tokens_per_param: f64,
    /// The loss the law predicts, nats a token.
    pub loss: f64,
    /// Of `n`; null where the draws do not bound it.
    pub n_interval: Option<Interval>,
    /// Of `d`.
    pub d_interval: Option<Interval>,
    /// Of `tokens_per_param`.
    pub tokens_per_param_interval: Option<Interval>,
    /// Whether it lies inside the N and D that were measured.
    pub measured: bool,
}

/// Diagnostics beside the headline numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Standard deviation between trunks at the same N and D, nats a token; null with one seed.
    pub seed_spread: Option<f64>,
    /// The largest residual by its size, nats a token.
    pub worst_residual: f64,
    /// Whether losses fall.
    pub monotonicity: Monotonicity,
    /// Whether residuals depend on N and D together.
    pub interaction: Option<Interaction>,
    /// Measured minus predicted, point by point.
    pub residuals: Vec<Residual>,
}

/// A warning for programs and for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Doubt {
    /// A sentence.
    pub message: String,
    /// The same with its numbers.
    pub warning: Warning,
}

/// What a fit can be made again with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Produced {
    /// The program and its version.
    pub program: String,
    /// The recipe's file name.
    pub recipe: String,
    /// The dataset's identifier, by its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// How intervals were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapOptions>,
    /// What one draw of it is of.
    pub resampled: &'static str,
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

impl FitFile {
    pub(crate) fn of(conclusion: &Conclusion) -> Self {
        let Conclusion { campaign, selection, fitted, analysis, .. } = conclusion;
        let plan = &campaign.plan;
        let found = analysis.as_ref().ok();
        let diagnostics = found.map(|analysis| &analysis.diagnostics);
        Self {
            campaign: plan.name.clone(),
            campaign_id: plan.campaign.to_string(),
            error: analysis.as_ref().err().map(FitError::to_string),
            form: FORM,
            parameters: found.map(|analysis| analysis.fit.law),
            intervals: found.and_then(|analysis| analysis.intervals.clone()),
            r_squared: diagnostics.map(|found| found.r_squared),
            rmse: diagnostics.map(|found| found.rmse),
            held_out_error: diagnostics.and_then(|found| Some(found.held_out.as_ref()?.mean_error)),
            objective: found.map(|analysis| analysis.fit.objective),
            search: found.map(|analysis| Search {
                minimised: analysis.settings.objective,
                starts: analysis.fit.starts,
                starts_agreeing: analysis.fit.starts_agreeing,
            }),
            n_points: *fitted,
            n_points_planned: plan.trials.len(),
            n_trunks: found.map(|analysis| analysis.n_trunks),
            fitted: Fitted {
                n: "parameters without the embedding and the output layer, gains of RMSNorm counted",
                d: "tokens the model was trained on, those of the decay included",
                loss: "nats a token on held-out text, at the end of the decay",
                points: selection.describe(),
                arm: conclusion.arm.clone(),
                validation_tokens: plan.stages.first().map(|stage| stage.spec.validation_tokens),
            },
            optimum: found.and_then(optimum),
            held_out: diagnostics.and_then(|found| found.held_out.clone()),
            diagnostics: diagnostics.map(|found| Judgement {
                seed_spread: found.seed_spread,
                worst_residual: found.worst_residual,
                monotonicity: found.monotonicity,
                interaction: found.interaction,
                residuals: found.residuals.clone(),
            }),
            batch_law: conclusion.batch_law.as_ref().and_then(|law| law.as_ref().ok().cloned()),
            envelope: conclusion.envelope.clone(),
            warnings: found.map(|analysis| analysis.warnings.iter().map(doubt).collect()).unwrap_or_default(),
            settings: Produced {
                program: campaign.program.clone(),
                recipe: campaign.recipe_file.clone(),
                dataset: plan.dataset.as_ref().map(|dataset| dataset.id.to_string()),
                bootstrap: found.map(|analysis| analysis.settings.bootstrap),
                resampled: "whole trunks with all their points, with replacement",
            },
        }
    }
}

fn doubt(warning: &Warning) -> Doubt {
    Doubt { message: warning.to_string(), warning: warning.clone() }
}

fn optimum(analysis: &scaling::Analysis) -> Option<OptimumLaw> {
    let (k, eta) = analysis.fit.law.split()?;
    let budget = |at: &scaling::BudgetOptimum| Budget {
        flops: at.best.flops,
        n: at.best.n,
        d: at.best.d,
        tokens_per_param: at.best.tokens_per_param,
        loss: at.best.loss,
        n_interval: at.n,
        d_interval: at.d,
        tokens_per_param_interval: at.tokens_per_param,
        measured: at.measured,
    };
    Some(OptimumLaw { k_squared: k * k, eta, budgets: analysis.optima.iter().map(budget).collect() })
}
