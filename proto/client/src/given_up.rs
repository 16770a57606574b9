//! The stages that a campaign went on without.

use proto::v1::{CampaignSummary, StagePhase};

use crate::{CallError, Campaigns};

/// A stage that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// The short form of its key, with the size.
    pub name: String,
    /// How it was given up, with its last error.
    pub reason: String,
}

/// The stages that were given up of a campaign that has ended, in the plan's order.
///
/// # Errors
/// Where the coordinator does not answer.
pub async fn given_up(campaigns: &mut Campaigns, ended: &CampaignSummary) -> Result<Vec<GivenUp>, CallError> {
    if ended.stages.unwrap_or_default().failed == 0 {
        return Ok(Vec::new());
    }
    let detail = campaigns.detail(&ended.campaign).await?;
    let stages = detail.plan.stages.iter().zip(&detail.stages);
    let given_up = stages.filter(|(_, status)| status.phase() == StagePhase::Failed);
    let given_up = given_up.map(|(stage, status)| GivenUp {
        name: format!("{} ({})", stage.key.short(), stage.size),
        reason: status.reason.clone(),
    });
    Ok(given_up.collect())
}
