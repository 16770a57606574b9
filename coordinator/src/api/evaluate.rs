//! Evaluations that are added to a campaign. Which are possible is the scheduler's decision.

use recipes::EvaluationText;
use scheduler::PlannedEvaluations;

use super::requests::EvaluateRequest;
use super::{Api, ApiError};
use crate::driver::input::Extension;
use crate::driver::request_error::RequestError;
use crate::driver::view::View;

/// Evaluations of a campaign, and its name.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated {
    pub(crate) campaign_name: String,
    pub(crate) planned: PlannedEvaluations,
}

impl Api {
    /// Plans evaluations and, unless it is a dry run, adds them. They are durable when this returns.
    pub(crate) async fn evaluate(&self, request: EvaluateRequest) -> Result<Evaluated, ApiError> {
        let dry_run = request.dry_run;
        if !dry_run {
            self.check_dataset(&request.dataset).await?;
        }
        let evaluated = self.look(move |view| plan(view, &request)).await??;
        if !dry_run {
            // Even if nothing is new: a campaign that was cancelled refuses.
            let extension = Extension { growth: evaluated.planned.growth.clone(), recipe: None };
            self.driver.extend(extension).await?;
        }
        Ok(evaluated)
    }
}

fn plan(view: &View, request: &EvaluateRequest) -> Result<Evaluated, RequestError> {
    let EvaluateRequest { campaign: selector, name, kind, dataset, tokens, stages, .. } = request;
    let campaign = view.find(selector.as_str())?;
    view.scheduler.ledger().wanted(&campaign).map_err(|error| RequestError::PlanRejected { campaign, error })?;
    let selectors: Vec<&str> = stages.iter().map(|stage| stage.as_str()).collect();
    let stages = if selectors.is_empty() { Vec::new() } else { view.find_stages(&campaign, &selectors)? };
    let text = EvaluationText { name, kind: *kind, dataset, tokens: *tokens };
    let unknown = || RequestError::UnknownCampaign { selector: selector.as_str().to_owned(), similar: None };
    let planned = view.scheduler.ledger().evaluations(&campaign, &stages, &text).ok_or_else(unknown)?;
    let campaign_name = view.scheduler.plan(&campaign).map(|plan| plan.name.clone()).unwrap_or_default();
    Ok(Evaluated { campaign_name, planned: planned.map_err(RequestError::Evaluate)? })
}
