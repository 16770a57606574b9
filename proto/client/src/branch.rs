//! What a branch continues from.

use proto::v1;
use vocabulary::{DatasetId, Plan, Stage};

use crate::{CallError, Campaigns};

/// Why the origin of a branch is unknown.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// The coordinator refuses the branch, or does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The branch has no stages.
    #[error("the coordinator returned an empty branch")]
    Empty,
    /// The branch has no parent stage.
    #[error("the coordinator returned a branch without a parent stage")]
    NothingBefore,
}

/// The branch's own stage, and the stages before it.
///
/// # Errors
/// The plan has no stages.
pub fn own_stage(plan: &Plan) -> Result<(&Stage, &[Stage]), BranchError> {
    plan.stages.split_last().ok_or(BranchError::Empty)
}

/// The data that the parent stage of a branch was trained on. Starts nothing.
///
/// # Errors
/// The coordinator refuses the branch.
pub async fn trained_on(
    campaigns: &mut Campaigns,
    request: &v1::BranchCampaignRequest,
) -> Result<DatasetId, BranchError> {
    // A dry run of any valid length: only the stages before the branch matter.
    let look = v1::BranchCampaignRequest {
        // An unnamed branch cannot clash with the requested one.
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
