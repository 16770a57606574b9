//! From a `fit.json` back to a law that makes predictions.

use scaling::{Fit, FitOptions, Form, KaplanLaw, Law, Point, Predictor};
use serde::Deserialize;
use serde_json::Value;

use super::fit_file::FitFile;

/// A `fit.json` of either form.
#[derive(Debug, Clone)]
pub enum AnyFit {
    /// A sum of a term in N, a term in D and a constant.
    Minicpm(Box<FitFile>),
    /// Kaplan's form.
    Kaplan(Box<FitFile<KaplanLaw>>),
}

/// Why a `fit.json` cannot make predictions.
#[derive(Debug, thiserror::Error)]
pub enum NoPredictor {
    /// The file is not a `fit.json` of this program.
    #[error("not a fit.json written by `windtunnel`")]
    Unreadable(#[source] serde_json::Error),
    /// The file records that there is no law.
    #[error("{of} has no law to predict from: {reason}")]
    NoLaw {
        /// The campaign or table.
        of: String,
        /// The recorded reason.
        reason: String,
    },
}

impl AnyFit {
    /// Whether a text is a JSON object with what every `fit.json` has.
    #[must_use]
    pub fn recognises(text: &str) -> bool {
        let value: Option<Value> = serde_json::from_str(text).ok();
        let has = |key: &&str| value.as_ref().is_some_and(|value| value.get(key).is_some());
        ["form", "fitted", "n_points", "settings"].iter().all(has)
    }

    /// Parses the text of a `fit.json`.
    ///
    /// # Errors
    /// The text is not a `fit.json`.
    pub fn parse(text: &str) -> Result<Self, NoPredictor> {
        let value: Value = serde_json::from_str(text).map_err(NoPredictor::Unreadable)?;
        // Files written before there were several forms have the additive one.
        let form = value.get("law").map_or(Ok(Form::default()), Form::deserialize).map_err(NoPredictor::Unreadable)?;
        match form {
            Form::Minicpm => serde_json::from_value(value).map(|fit| Self::Minicpm(Box::new(fit))),
            Form::Kaplan => serde_json::from_value(value).map(|fit| Self::Kaplan(Box::new(fit))),
        }
        .map_err(NoPredictor::Unreadable)
    }
}

impl<L: Law> FitFile<L> {
    /// A predictor of the law; its intervals come from the points in the file.
    ///
    /// # Errors
    /// The file has no law.
    pub fn predictor(&self) -> Result<Predictor<L>, NoPredictor> {
        let of = || self.campaign.clone().or_else(|| self.table.as_ref().map(|table| table.file.clone()));
        let no_law = || NoPredictor::NoLaw {
            of: of().unwrap_or_else(|| "the file".to_owned()),
            reason: self.error.clone().unwrap_or_else(|| "it does not say why".to_owned()),
        };
        let law = self.parameters.ok_or_else(no_law)?;
        let search = self.search.as_ref().ok_or_else(no_law)?;
        let judgement = self.diagnostics.as_ref().ok_or_else(no_law)?;
        let point = |row: &scaling::Residual| Point {
            size: row.size.clone(),
            n: row.n,
            d: row.d,
            loss: row.loss,
            trunk: row.trunk.clone(),
            order: row.order.clone(),
            ..Point::default()
        };
        let points: Vec<Point> = judgement.residuals.iter().map(point).collect();
        let fit = Fit {
            law,
            objective: self.objective.unwrap_or_default(),
            starts: search.starts,
            starts_agreeing: search.starts_agreeing,
            gradient: search.relative_gradient,
            at_bounds: search.at_bounds.clone(),
        };
        let fitting = FitOptions { objective: search.minimised };
        Ok(Predictor::of(&points, &fit, &fitting, &self.settings.bootstrap.unwrap_or_default()).with_cost(self.cost))
    }
}
