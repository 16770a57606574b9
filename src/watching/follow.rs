//! Following a campaign to its end.

use proto::v1;

use super::Snapshot;
use crate::client::{CallError, Campaigns};

/// Shows how a campaign is doing until it has ended; the last word on it.
///
/// A coordinator that goes away before that is [`CallError::Unreachable`]: another may take its place.
pub(crate) async fn follow(
    campaigns: &mut Campaigns,
    campaign: &str,
    mut show: impl FnMut(&Snapshot) -> anyhow::Result<()>,
) -> anyhow::Result<v1::CampaignSummary> {
    let mut updates = campaigns.watch(campaign).await?;
    let mut last = v1::CampaignSummary::default();
    while let Some(update) = updates.next().await? {
        show(&Snapshot::from(&update))?;
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
