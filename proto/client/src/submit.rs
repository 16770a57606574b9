//! Handing work to a coordinator: a recipe with its data, a larger recipe of a campaign, a branch.

use std::path::Path;

use proto::v1;
use recipes::Recipe;
use vocabulary::Dataset;

use crate::{CallError, Campaigns, Destination, Upload, UploadError, upload_dataset};

/// A campaign that a coordinator has taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its identifier.
    pub campaign: String,
    /// Its name.
    pub name: String,
    /// Stages it has.
    pub stages: u32,
    /// Stages that are trained already.
    pub stages_done: u32,
}

/// Data that was prepared on this machine, and where the storage is that it belongs in.
#[derive(Debug, Clone, Copy)]
pub struct Data<'a> {
    /// What it is.
    pub dataset: &'a Dataset,
    /// The folder of its files.
    pub dir: &'a Path,
    /// The coordinator's storage. Where that is the data directory itself, the files are there already.
    pub storage: &'a Destination,
}

/// Why a campaign was not handed in.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Its data is not where the coordinator keeps data.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The coordinator did not take it.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Submits a recipe, after its data is where the coordinator keeps data. `tell` hears what takes its time.
///
/// # Errors
/// Where the data cannot be brought there, or the coordinator refuses the recipe.
pub async fn submit(
    campaigns: &mut Campaigns,
    recipe: &Recipe,
    data: Data<'_>,
    tell: &mut impl FnMut(&Upload),
) -> Result<Accepted, SubmitError> {
    upload_dataset(&data.dataset.id, data.dir, data.storage, tell).await?;
    let v1::SubmitResponse { campaign, stages, stages_done, .. } = campaigns.submit(recipe, data.dataset).await?;
    Ok(Accepted { campaign, name: recipe.name().to_owned(), stages, stages_done })
}

/// Adds to a campaign what a larger recipe asks for besides.
///
/// # Errors
/// Where the coordinator refuses it.
pub async fn extend(campaigns: &mut Campaigns, campaign: &str, recipe: &Recipe) -> Result<Accepted, CallError> {
    let v1::ExtendCampaignResponse { campaign, stages, stages_done, .. } = campaigns.extend(campaign, recipe).await?;
    Ok(Accepted { campaign, name: recipe.name().to_owned(), stages, stages_done })
}

/// Starts a branch, after the text it goes on with is where the coordinator keeps data.
///
/// # Errors
/// Where the data cannot be brought there, or the coordinator refuses the branch.
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
    Ok(Accepted { campaign: plan.campaign.to_string(), name: plan.name, stages, stages_done })
}
