//! Following a campaign to its end.

use proto::v1;

use crate::{CallError, Campaigns};

/// Calls `show` with each update of a campaign until its end, and returns the final summary.
///
/// # Errors
/// Errors of `show`, and [`CallError::Unreachable`] if the coordinator goes away before the end; a successor may take over.
pub async fn follow<E: From<CallError>>(
    campaigns: &mut Campaigns,
    campaign: &str,
    mut show: impl FnMut(&v1::CampaignUpdate) -> Result<(), E>,
) -> Result<v1::CampaignSummary, E> {
    let mut updates = campaigns.watch(campaign).await?;
    let mut last = v1::CampaignSummary::default();
    while let Some(update) = updates.next().await? {
        show(&update)?;
        last = update.summary.unwrap_or_default();
    }
    match last.phase() {
        v1::CampaignPhase::Ended | v1::CampaignPhase::Cancelled => Ok(last),
        v1::CampaignPhase::Open | v1::CampaignPhase::Unspecified => {
            let source = "it ended the watch before the campaign was over".into();
            Err(CallError::Unreachable { url: campaigns.url().to_owned(), source }.into())
        }
    }
}
