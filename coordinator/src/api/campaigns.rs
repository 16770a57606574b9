//! Campaigns: submitting, extending, cancelling, retrying, looking at them.

use std::collections::BTreeSet;

use recipes::Recipe;
use vocabulary::{CampaignId, Dataset, Plan, StageKey};

use super::left::time_left;
use super::requests::{ExtendRequest, RecipeSource, Selector, SubmitRequest};
use super::views::{CampaignDetail, CampaignView, StageTimes, TrialOutcome, WorkerView};
use super::{Api, ApiError};
use crate::clock::unix_ms;
use crate::datasets::{self, Presence};
use crate::driver::input::{Cancelled, Extended, Extension, Retried, Submission, Submitted};
use crate::store::RecipeText;

impl Api {
    /// Accepts a campaign. It is durable when this returns.
    pub(crate) async fn submit(&self, request: SubmitRequest) -> Result<Submitted, ApiError> {
        let SubmitRequest { recipe: RecipeSource { file, text }, dataset, weight } = request;
        let plan = self.expand(&file, &text, &dataset).await?;
        self.check_dataset(&dataset).await?;
        Ok(self.driver.submit(Submission { plan, weight, recipe_file: file, recipe_text: text }).await?)
    }

    /// The plan of a recipe; the recorded one, if it is resumed.
    async fn expand(&self, file: &str, text: &str, dataset: &Dataset) -> Result<Plan, ApiError> {
        let recipe = Recipe::parse(file, text).map_err(ApiError::Recipe)?;
        let plan = recipes::expand(&recipe, dataset).map_err(ApiError::Recipe)?;
        if self.is_recorded(plan.campaign).await? {
            return Ok(plan);
        }
        let before = recipes::expand_as_before(&recipe, dataset).map_err(ApiError::Recipe)?;
        Ok(if self.is_recorded(before.campaign).await? { before } else { plan })
    }

    async fn is_recorded(&self, campaign: CampaignId) -> Result<bool, ApiError> {
        self.look(move |view| view.scheduler.plan(&campaign).is_some()).await
    }

    /// Adds to a campaign what its recipe has now. It is durable when this returns.
    pub(crate) async fn extend(&self, request: ExtendRequest) -> Result<Extended, ApiError> {
        let ExtendRequest { campaign, recipe: RecipeSource { file, text } } = request;
        let plan = self.look_at(campaign, |view, campaign| view.scheduler.shared_plan(campaign)).await?;
        let recipe = Recipe::parse(&file, &text).map_err(ApiError::Recipe)?;
        let growth = recipes::growth(&plan, &recipe).map_err(ApiError::Growth)?;
        Ok(self.driver.extend(Extension { growth, recipe: Some((file, text)) }).await?)
    }

    /// Every campaign, in the order of submission.
    pub(crate) async fn campaigns(&self) -> Result<Vec<CampaignView>, ApiError> {
        let mut campaigns = self.look(CampaignView::all).await?;
        let left = self.times_left().await?;
        for campaign in &mut campaigns {
            campaign.left = time_left(&left, &campaign.status);
        }
        Ok(campaigns)
    }

    /// A campaign with its plan, stages and recipe.
    pub(crate) async fn campaign(&self, selector: Selector) -> Result<CampaignDetail, ApiError> {
        let mut detail = self.look_at(selector, CampaignDetail::of).await?;
        let campaign = detail.summary.status.campaign;
        detail.summary.left = time_left(self.times_left().await?.as_ref(), &detail.summary.status);
        let attempts = self.store.attempts(campaign).await.map_err(ApiError::Store)?;
        let nodes = || detail.stages.iter().chain(&detail.evaluations);
        let connected: BTreeSet<StageKey> = nodes().filter(|it| it.is_connected).map(|it| it.key).collect();
        let mut times = StageTimes::of(attempts, unix_ms(), |stage| connected.contains(stage));
        for stage in detail.stages.iter_mut().chain(&mut detail.evaluations) {
            stage.times = times.remove(&stage.key);
        }
        let recipe = self.store.recipe(campaign).await.map_err(ApiError::Store)?;
        detail.recipe = recipe.map(|RecipeText { file, text }| RecipeSource { file, text });
        Ok(detail)
    }

    /// The trials of a campaign that have ended, in the plan's order.
    pub(crate) async fn results(&self, selector: Selector) -> Result<Vec<TrialOutcome>, ApiError> {
        self.look_at(selector, TrialOutcome::all).await
    }

    /// Cancels a campaign.
    pub(crate) async fn cancel(&self, selector: Selector) -> Result<Cancelled, ApiError> {
        Ok(self.driver.cancel(selector.into_string()).await?)
    }

    /// Tries the stages of a campaign that were given up again, and on request those that diverged.
    pub(crate) async fn retry(&self, selector: Selector, diverged: bool) -> Result<Retried, ApiError> {
        Ok(self.driver.retry(selector.into_string(), diverged).await?)
    }

    /// Every worker that is known to be alive.
    pub(crate) async fn workers(&self) -> Result<Vec<WorkerView>, ApiError> {
        self.look(WorkerView::all).await
    }

    /// Checks that a dataset is where workers will look for it.
    pub(super) async fn check_dataset(&self, dataset: &Dataset) -> Result<(), ApiError> {
        let (named, storage) = (dataset.id.to_string(), self.storage_url.clone());
        match datasets::look_for(self.storage.store().as_ref(), &dataset.id).await.map_err(ApiError::ReadStorage)? {
            Presence::Whole => Ok(()),
            Presence::Absent => Err(ApiError::NoDataset { dataset: named, storage }),
            Presence::Partial { file } => Err(ApiError::PartialDataset { dataset: named, storage, file }),
        }
    }
}
