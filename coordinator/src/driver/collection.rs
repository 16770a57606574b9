//! Room for checkpoints: what is asked for, and what quotas ask for by themselves.

use std::collections::BTreeSet;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::layout;
use scheduler::{Event, Hold};
use tracing::{info, warn};
use vocabulary::{CampaignId, StageKey};

use super::Driver;
use super::batch::Batch;
use super::index::{Index, Indexed};
use super::request_error::RequestError;
use super::requests::{Reply, answer};
use super::view::View;

/// A committed checkpoint and why it stays, if it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckpointStatus {
    pub(crate) checkpoint: Indexed,
    pub(crate) hold: Option<Hold>,
}

impl View<'_> {
    /// The committed checkpoints of a campaign's stages, or of all.
    pub(crate) fn checkpoints(&self, campaign: Option<&CampaignId>) -> Vec<CheckpointStatus> {
        let holds = self.scheduler.ledger().holds();
        let plan = campaign.and_then(|campaign| self.scheduler.plan(campaign));
        let of_plan: Option<BTreeSet<StageKey>> = plan.map(|plan| plan.stages.iter().map(|stage| stage.key).collect());
        let asked_for = |indexed: &&Indexed| of_plan.as_ref().is_none_or(|stages| stages.contains(&indexed.stage));
        let listed = |checkpoint: &Indexed| CheckpointStatus {
            checkpoint: *checkpoint,
            hold: holds.of(&checkpoint.stage, checkpoint.step),
        };
        self.index.all().filter(asked_for).map(listed).collect()
    }
}

impl Driver {
    /// Removes what nothing needs of a campaign's checkpoints, or of all.
    pub(super) fn on_collect(&mut self, selector: Option<&str>, reply: Reply<Vec<Indexed>>, batch: &mut Batch) {
        let collected = self.collectable(selector).map(|checkpoints| self.collect(checkpoints, batch));
        answer(batch, reply, collected);
    }

    fn collectable(&self, selector: Option<&str>) -> Result<Vec<Indexed>, RequestError> {
        let campaign = selector.map(|selector| self.view().find(selector)).transpose()?;
        let listed = self.view().checkpoints(campaign.as_ref());
        Ok(listed.into_iter().filter(|listed| listed.hold.is_none()).map(|listed| listed.checkpoint).collect())
    }

    /// Has these removed, as far as nothing needs them, and returns those that were.
    fn collect(&mut self, checkpoints: Vec<Indexed>, batch: &mut Batch) -> Vec<Indexed> {
        let named = checkpoints.iter().map(|indexed| (indexed.stage, indexed.step)).collect();
        self.apply(Event::CollectionRequested { checkpoints: named }, batch);
        let is_gone = |indexed: &Indexed| !self.index.of(indexed.stage).any(|known| known.step == indexed.step);
        checkpoints.into_iter().filter(is_gone).collect()
    }

    /// Keeps the campaigns that want a stage within their quotas, now that it has another checkpoint. The oldest of what
    /// nothing needs go first.
    pub(super) fn enforce_quotas(&mut self, stage: StageKey, batch: &mut Batch) {
        let with_quota = |campaign: &scheduler::Campaign| {
            let plan = campaign.plan();
            Some((plan.campaign, plan.checkpoints.quota_bytes?))
        };
        let quotas: Vec<_> = self.scheduler.ledger().wanted_by(&stage).filter_map(with_quota).collect();
        for (campaign, quota) in quotas {
            let used = |index: &Index, plan: Option<&vocabulary::Plan>| -> u64 {
                let stages = plan.into_iter().flat_map(|plan| &plan.stages);
                stages.flat_map(|stage| index.of(stage.key)).map(|indexed| indexed.bytes).sum()
            };
            let bytes = used(&self.index, self.scheduler.plan(&campaign));
            if bytes <= quota {
                self.over_quota.remove(&campaign);
                continue;
            }
            let mut listed = self.view().checkpoints(Some(&campaign));
            listed.retain(|listed| listed.hold.is_none());
            listed.sort_by_key(|CheckpointStatus { checkpoint, .. }| {
                (checkpoint.committed_at_ms, checkpoint.stage, checkpoint.step)
            });
            let mut left = bytes;
            let enough = listed.into_iter().map(|listed| listed.checkpoint).take_while(|checkpoint| {
                let goes = left > quota;
                left = left.saturating_sub(checkpoint.bytes);
                goes
            });
            let collected = self.collect(enough.collect(), batch);
            let left = bytes - collected.iter().map(|indexed| indexed.bytes).sum::<u64>();
            if !collected.is_empty() {
                info!(%campaign, checkpoints = collected.len(), bytes = bytes - left, "collected, to keep the quota");
            }
            if left > quota && self.over_quota.insert(campaign) {
                warn!(%campaign, bytes = left, quota, "the checkpoints that are needed take more than the quota");
            }
        }
    }

    /// Deletes the files of a checkpoint that was removed, beside the driver. What is left when that fails, or when the
    /// coordinator is killed before it, is found by the next collection.
    pub(super) fn delete_files(&self, removed: Indexed) {
        let storage = self.storage.clone();
        tokio::spawn(async move {
            let Indexed { stage, step, attempt, .. } = removed;
            if let Err(error) = delete_checkpoint(storage.as_ref(), &removed).await {
                warn!(%stage, step, %attempt, error = &error as &dyn std::error::Error, "files are left");
            }
        });
    }
}

/// The manifest first: without it, what is left is nothing to anybody.
async fn delete_checkpoint(storage: &dyn ObjectStore, removed: &Indexed) -> Result<(), object_store::Error> {
    let folder = layout::checkpoint_path(&removed.stage, removed.attempt, removed.step);
    match storage.delete(&Path::from(format!("{folder}/{}", layout::MANIFEST))).await {
        Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => return Err(error),
        _ => {}
    }
    let listed = storage.list_with_delimiter(Some(&Path::from(folder))).await?;
    for file in listed.objects {
        storage.delete(&file.location).await?;
    }
    Ok(())
}
