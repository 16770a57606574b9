//! What is collected to keep a campaign's checkpoints within its quota.

use vocabulary::{CampaignId, StageKey};

use crate::state::campaign::Campaign;
use crate::state::ledger::Ledger;

/// A committed checkpoint and the room it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredCheckpoint {
    pub stage: StageKey,
    /// Steps done, counted from the root.
    pub step: u64,
    /// Its size.
    pub bytes: u64,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: u64,
}

/// A campaign whose checkpoints take more than its quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Bytes that are allowed.
    pub quota_bytes: u64,
    /// Bytes that are taken.
    pub used_bytes: u64,
    /// What goes, by stage and step: of the checkpoints that nothing needs, the oldest, until the rest fits.
    pub collect: Vec<(StageKey, u64)>,
    /// Bytes that are taken afterwards. More than the quota where what is needed does not fit.
    pub left_bytes: u64,
}

impl Ledger {
    /// The campaigns with a quota that want a stage.
    #[must_use]
    pub fn with_quota(&self, stage: &StageKey) -> Vec<CampaignId> {
        let has_quota = |campaign: &&Campaign| campaign.plan().checkpoints.quota_bytes.is_some();
        self.wanted_by(stage).filter(has_quota).map(|campaign| campaign.plan().campaign).collect()
    }

    /// By how much a campaign is over its quota, and what goes; `None` where it is not. `stored` has the committed
    /// checkpoints of a stage.
    #[must_use]
    pub fn excess<C: IntoIterator<Item = StoredCheckpoint>>(
        &self,
        campaign: &CampaignId,
        stored: impl Fn(StageKey) -> C,
    ) -> Option<Excess> {
        let plan = self.campaign(campaign)?.plan();
        let quota_bytes = plan.checkpoints.quota_bytes?;
        let mut checkpoints: Vec<StoredCheckpoint> = plan.stages.iter().flat_map(|stage| stored(stage.key)).collect();
        let used_bytes: u64 = checkpoints.iter().map(|checkpoint| checkpoint.bytes).sum();
        if used_bytes <= quota_bytes {
            return None;
        }
        let holds = self.holds();
        checkpoints.retain(|checkpoint| holds.of(&checkpoint.stage, checkpoint.step).is_none());
        checkpoints.sort_by_key(|checkpoint| (checkpoint.committed_at_ms, checkpoint.stage, checkpoint.step));
        let (mut collect, mut left_bytes) = (Vec::new(), used_bytes);
        for StoredCheckpoint { stage, step, bytes, .. } in checkpoints {
            if left_bytes <= quota_bytes {
                break;
            }
            collect.push((stage, step));
            left_bytes -= bytes;
        }
        Some(Excess { quota_bytes, used_bytes, collect, left_bytes })
    }
}
