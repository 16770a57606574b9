//! Submitting work: recipes with their data, extensions, branches, evaluations.

use std::path::Path;

use proto::v1;
use recipes::Recipe;
use vocabulary::{Dataset, WorkKind};

use crate::{CallError, Campaigns, Destination, Upload, UploadError, upload_dataset};

/// A campaign accepted by a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its identifier.
    pub campaign: String,
    pub name: String,
    /// What the numbers below count: all stages, or the requested evaluations.
    pub of: WorkKind,
    /// Number of stages.
    pub stages: u32,
    /// Number of stages already done.
    pub stages_done: u32,
}

/// Data prepared on this machine, and the storage it belongs in.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// Its description.
    pub dataset: &'a Dataset,
    /// The folder of its files.
    pub dir: &'a Path,
    /// The coordinator's storage. If that is the data directory itself, the files are already there.
    pub storage: &'a Destination,
}

/// Why a campaign was not submitted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Its data could not be uploaded.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The coordinator refused it or does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Uploads the data of a recipe if necessary, and submits the recipe. `tell` is called before long operations.
///
/// # Errors
/// The data cannot be uploaded, or the coordinator refuses the recipe.
pub async fn submit(
    campaigns: &mut Campaigns,
    recipe: &Recipe,
    data: Data<'_>,
    tell: &mut impl FnMut(&Upload),
) -> Result<Accepted, SubmitError> {
    upload_dataset(&data.dataset.id, data.dir, data.storage, tell).await?;
    let v1::SubmitResponse { campaign, stages, stages_done, .. } = campaigns.submit(recipe, data.dataset).await?;
    Ok(Accepted { campaign, name: recipe.name().to_owned(), of: WorkKind::Train, stages, stages_done })
}

/// Extends a campaign to a larger recipe.
///
/// # Errors
/// The coordinator refuses the recipe.
pub async fn extend(campaigns: &mut Campaigns, campaign: &str, recipe: &Recipe) -> Result<Accepted, CallError> {
    let v1::ExtendCampaignResponse { campaign, stages, stages_done, .. } = campaigns.extend(campaign, recipe).await?;
    Ok(Accepted { campaign, name: recipe.name().to_owned(), of: WorkKind::Train, stages, stages_done })
}

/// Uploads the data of a branch if necessary, and starts the branch.
///
/// # Errors
/// The data cannot be uploaded, or the coordinator refuses the branch.
pub async fn branch(
    campaigns: &mut Campaigns,
    request: &v1::BranchCampaignRequest,
    data: Option<Data<'_>>,
    tell: &mut impl FnMut(&Upload),
) -> Result<Accepted, SubmitError> {
    if let Some(Data { dataset, dir, storage }) = data {
        upload_dataset(&dataset.id, dir, storage, tell).await?;
    }
    let (plan, stages_done) = campaigns.branch(request.clone()).await?;
    let stages = u32::try_from(plan.stages.len()).unwrap_or(u32::MAX);
    Ok(Accepted { campaign: plan.campaign.to_string(), name: plan.name, of: WorkKind::Train, stages, stages_done })
}

/// Uploads the text of evaluations if necessary, and adds the evaluations to a campaign.
///
/// # Errors
/// The data cannot be uploaded, or the coordinator refuses the evaluations.
pub async fn evaluate(
    campaigns: &mut Campaigns,
    request: &v1::EvaluateCampaignRequest,
    data: Option<Data<'_>>,
    tell: &mut impl FnMut(&Upload),
) -> Result<Accepted, SubmitError> {
    if let Some(Data { dataset, dir, storage }) = data {
        upload_dataset(&dataset.id, dir, storage, tell).await?;
    }
    let v1::EvaluateCampaignResponse { campaign, campaign_name: name, added, known, known_done, .. } =
        campaigns.evaluate(request.clone()).await?;
    let stages = u32::try_from(added.len()).unwrap_or(u32::MAX).saturating_add(known);
    Ok(Accepted { campaign, name, of: WorkKind::Evaluate, stages, stages_done: known_done })
}
