//! Making room: checkpoints that people want collected, and those that quotas collect.

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use proto::layout;
use scheduler::Event;
use scheduler::quota::{Excess, StoredCheckpoint};
use tokio::sync::oneshot;
use tracing::{info, warn};
use vocabulary::StageKey;

use super::Driver;
use super::batch::Batch;
use super::index::Indexed;
use super::requests::answer;

impl Driver {
    /// Removes checkpoints, as far as nothing needs them.
    pub(super) fn on_collect(
        &mut self,
        checkpoints: Vec<Indexed>,
        reply: oneshot::Sender<Vec<Indexed>>,
        batch: &mut Batch,
    ) {
        let named = checkpoints.iter().map(|indexed| (indexed.stage, indexed.step)).collect();
        self.apply(Event::CollectionRequested { checkpoints: named }, batch);
        let is_gone = |indexed: &Indexed| !self.index.of(indexed.stage).any(|known| known.step == indexed.step);
        answer(batch, reply, checkpoints.into_iter().filter(is_gone).collect());
    }

    /// Has the campaigns that want a stage kept within their quotas, now that it has another checkpoint.
    pub(super) fn enforce_quotas(&mut self, stage: StageKey, batch: &mut Batch) {
        for campaign in self.scheduler.ledger().with_quota(&stage) {
            let stored = |stage| self.index.of(stage).map(StoredCheckpoint::from);
            let Some(excess) = self.scheduler.ledger().excess(&campaign, stored) else {
                self.over_quota.remove(&campaign);
                continue;
            };
            let Excess { quota_bytes, used_bytes, collect, left_bytes } = excess;
            if !collect.is_empty() {
                let (checkpoints, bytes) = (collect.len(), used_bytes - left_bytes);
                info!(%campaign, checkpoints, bytes, "collected, to keep the quota");
                self.apply(Event::CollectionRequested { checkpoints: collect }, batch);
            }
            if left_bytes > quota_bytes && self.over_quota.insert(campaign) {
                let (bytes, quota) = (left_bytes, quota_bytes);
                warn!(%campaign, bytes, quota, "the checkpoints that are needed take more than the quota");
            }
        }
    }

    /// Deletes the files of a removed checkpoint, beside the driver. The next collection finds what is left when that fails
    /// or the coordinator is killed before it.
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

/// The manifest goes first: files without one belong to no checkpoint.
async fn delete_checkpoint(storage: &dyn ObjectStore, removed: &Indexed) -> Result<(), object_store::Error> {
    let folder = layout::checkpoint_path(removed.key(), removed.step);
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
