//! Failed stages of a campaign.

use proto::v1::{CampaignSummary, StagePhase};

use crate::{CallError, Campaigns};

/// A failed stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Short key and size.
    pub name: String,
    /// How it failed, with its last error.
    pub reason: String,
}

/// The failed stages of an ended campaign, in plan order.
///
/// # Errors
/// The coordinator does not answer.
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
