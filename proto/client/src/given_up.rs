//! Failed stages and evaluations of a campaign.

use proto::v1::{CampaignSummary, StagePhase};

use crate::{CallError, Campaigns};

/// A failed stage or evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Short key and size.
    pub name: String,
    /// How it failed, with its last error.
    pub reason: String,
}

/// The failed stages and evaluations of an ended campaign, in plan order.
///
/// # Errors
/// The coordinator does not answer.
pub async fn given_up(campaigns: &mut Campaigns, ended: &CampaignSummary) -> Result<Vec<GivenUp>, CallError> {
    let counts = [ended.stages, ended.evaluations];
    if counts.into_iter().flatten().all(|counts| counts.failed == 0) {
        return Ok(Vec::new());
    }
    let detail = campaigns.detail(&ended.campaign).await?;
    let nodes = detail.plan.nodes().zip(detail.stages.iter().chain(&detail.evaluations));
    let given_up = nodes.filter(|(_, status)| status.phase() == StagePhase::Failed);
    let given_up = given_up.map(|(work, status)| GivenUp {
        name: format!("{} ({})", work.key().short(), work.size()),
        reason: status.reason.clone(),
    });
    Ok(given_up.collect())
}
