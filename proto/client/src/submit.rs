//! Submitting work: recipes, extensions, branches, evaluations.

use proto::v1;
use recipes::Recipe;
use vocabulary::{Dataset, WorkKind};

use crate::{CallError, Campaigns};

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

/// Submits a recipe, whose dataset must be in the coordinator's storage.
///
/// # Errors
/// The coordinator refuses the recipe.
pub async fn submit(
    campaigns: &mut Campaigns,
    recipe: &Recipe,
    dataset: &Dataset,
    weight: Option<u32>,
) -> Result<Accepted, CallError> {
    let v1::SubmitResponse { campaign, stages, stages_done, .. } = campaigns.submit(recipe, dataset, weight).await?;
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

/// Starts a branch. Its own dataset, if it has one, must be in the coordinator's storage.
///
/// # Errors
/// The coordinator refuses the branch.
pub async fn branch(campaigns: &mut Campaigns, request: v1::BranchCampaignRequest) -> Result<Accepted, CallError> {
    let (plan, stages_done) = campaigns.branch(request).await?;
    let stages = u32::try_from(plan.stages.len()).unwrap_or(u32::MAX);
    Ok(Accepted { campaign: plan.campaign.to_string(), name: plan.name, of: WorkKind::Train, stages, stages_done })
}

/// Adds evaluations to a campaign. Their dataset must be in the coordinator's storage.
///
/// # Errors
/// The coordinator refuses the evaluations.
pub async fn evaluate(campaigns: &mut Campaigns, request: v1::EvaluateCampaignRequest) -> Result<Accepted, CallError> {
    let v1::EvaluateCampaignResponse { campaign, campaign_name: name, added, known, known_done, .. } =
        campaigns.evaluate(request).await?;
    let stages = u32::try_from(added.len()).unwrap_or(u32::MAX).saturating_add(known);
    Ok(Accepted { campaign, name, of: WorkKind::Evaluate, stages, stages_done: known_done })
}
