//! What a campaign went on without: the stages that were given up, and why.

use proto::v1::{CampaignSummary, StagePhase};

use crate::client::{CallError, Campaigns};
use crate::logging::say;

/// Stages that are told of one by one.
const TOLD: usize = 5;

/// Says which stages of a campaign that has ended were given up, each with its last error.
pub(crate) async fn say_what_was_given_up(campaigns: &mut Campaigns, ended: &CampaignSummary) -> Result<(), CallError> {
    let failed = ended.stages.unwrap_or_default().failed;
    if failed == 0 {
        return Ok(());
    }
    let detail = campaigns.detail(&ended.campaign).await?;
    let given_up = detail.stages.iter().filter(|stage| stage.phase() == StagePhase::Failed);
    for status in given_up.clone().take(TOLD) {
        let stage = detail.plan.stages.iter().find(|stage| stage.key.to_string() == status.key);
        let name = stage.map_or_else(|| status.key.clone(), |stage| format!("{} ({})", stage.key.short(), stage.size));
        say(&format!("{name} was {}", status.reason));
    }
    let (more, name) = (given_up.count().saturating_sub(TOLD), &ended.name);
    let more = if more > 0 { format!("; {more} more were given up") } else { String::new() };
    say(&format!(
        "the campaign went on without what was given up: `windtunnel show {name}` says why, `windtunnel retry {name}` has \
         it tried again{more}"
    ));
    Ok(())
}
