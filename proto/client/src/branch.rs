//! What a branch goes on from.

use proto::v1;
use vocabulary::{DatasetId, Plan, Stage};

use crate::{CallError, Campaigns};

/// Why it is not known what a branch goes on from.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// The coordinator refuses the branch, or does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A branch of no stages.
    #[error("the coordinator says that the branch is empty")]
    Empty,
    /// A branch of a single stage.
    #[error("the coordinator knows of nothing to go on from")]
    NothingBefore,
}

/// The stage of its own that a branch has, and those before it.
///
/// # Errors
/// Where the plan has no stages.
pub fn own_stage(plan: &Plan) -> Result<(&Stage, &[Stage]), BranchError> {
    plan.stages.split_last().ok_or(BranchError::Empty)
}

/// The text that the stage before a branch was trained on. Nothing is started.
///
/// # Errors
/// Where the coordinator refuses the branch.
pub async fn trained_on(
    campaigns: &mut Campaigns,
    request: &v1::BranchCampaignRequest,
) -> Result<DatasetId, BranchError> {
    // As long as all before it, which is a step at least: only what it goes on from is looked at.
    let look = v1::BranchCampaignRequest {
        // It is another branch than the one that is asked for, and must not stand in its way.
        name: String::new(),
        tokens: 0,
        fraction: 1.0,
        dry_run: true,
        ..request.clone()
    };
    let (plan, _) = campaigns.branch(look).await?;
    let (_, before) = own_stage(&plan)?;
    Ok(before.last().ok_or(BranchError::NothingBefore)?.spec.data.dataset)
}
