//! Checkpoints: what there is, and what may go.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use vocabulary::StageKey;

use super::requests::{CollectRequest, Selector};
use super::{Api, ApiError};
use crate::driver::request_error::RequestError;
use crate::driver::view::CheckpointStatus;
use crate::driver::view::View;
use crate::orphans::{self, InUse, Orphan};
use crate::store::CommittedCheckpoint;

/// Younger orphans stay, whatever age the caller gives. A worker that lost its attempt may not know yet. What it writes
/// harms nobody, but deleting a file under its hands would look like a failing storage.
const YOUNGEST_ORPHAN: Duration = Duration::from_secs(60);

/// What a collection deleted, or would delete.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) checkpoints: Vec<CheckpointStatus>,
    pub(crate) orphans: Vec<Orphan>,
}

impl Collection {
    pub(crate) fn bytes(&self) -> u64 {
        let checkpoints = self.checkpoints.iter().map(|status| status.checkpoint.bytes);
        checkpoints.chain(self.orphans.iter().map(|orphan| orphan.bytes)).sum()
    }
}

impl Api {
    /// A committed checkpoint of a stage: at a step, or the last.
    pub(crate) async fn checkpoint(&self, stage: Selector, step: Option<u64>) -> Result<CommittedCheckpoint, ApiError> {
        let stage = self.find_stage(stage).await?;
        let found = match step {
            Some(step) => self.store.checkpoint(stage, step).await,
            None => self.store.last_checkpoint(stage).await,
        };
        found.map_err(ApiError::Store)?.ok_or(RequestError::NoCheckpoint { stage, step }.into())
    }

    /// The committed checkpoints of a campaign, or of all, and why they stay.
    pub(crate) async fn checkpoints(&self, campaign: Option<Selector>) -> Result<Vec<CheckpointStatus>, ApiError> {
        let look = move |view: &View| {
            let campaign = campaign.map(|selector| view.find(selector.as_str())).transpose()?;
            Ok::<_, RequestError>(view.checkpoints(campaign.as_ref()))
        };
        Ok(self.look(look).await??)
    }

    /// Deletes the checkpoints that nothing needs, and the orphaned files.
    pub(crate) async fn collect(&self, request: CollectRequest) -> Result<Collection, ApiError> {
        let CollectRequest { campaign, min_age, dry_run } = request;
        // Listed before the look at what is in use: a file that is committed in between is not an orphan then.
        let (store, directory) = (self.storage.store().as_ref(), self.storage.directory());
        let files = orphans::list(store, directory).await.map_err(ApiError::ReadStorage)?;
        let mut checkpoints = self.checkpoints(campaign.clone()).await?;
        checkpoints.retain(|status| status.hold.is_none());
        if !dry_run {
            // What something needs by then stays.
            let collected = checkpoints.iter().map(|status| status.checkpoint).collect();
            let collected = self.driver.collect(collected).await?;
            let status = |checkpoint| CheckpointStatus { checkpoint, hold: None };
            checkpoints = collected.into_iter().map(status).collect();
        }
        let look = |view: &View| {
            let committed = view.index.all().map(|indexed| (indexed.key(), indexed.step));
            InUse::new(&view.scheduler, committed)
        };
        let mut in_use = self.look(look).await?;
        // The files of collected checkpoints go with them. They are not orphans.
        let going = checkpoints.iter().map(|status| status.checkpoint);
        in_use.committed.extend(going.map(|checkpoint| (checkpoint.key(), checkpoint.step)));
        let min_age = min_age.max(YOUNGEST_ORPHAN);
        let mut orphans = orphans::orphans(&files, &in_use, min_age, SystemTime::now());
        if let Some(campaign) = campaign {
            let stages = self.stages_of(campaign).await?;
            orphans.retain(|orphan| orphan.path.split('/').nth(1).is_some_and(|stage| stages.contains(stage)));
        }
        if !dry_run {
            let deleted = orphans::delete(store, directory, &orphans).await;
            deleted.map_err(ApiError::DeleteFiles)?;
            if let Some(directory) = directory.map(ToOwned::to_owned) {
                self.beside(move || orphans::remove_empty_folders(&directory, min_age, SystemTime::now())).await?;
            }
        }
        Ok(Collection { checkpoints, orphans })
    }

    /// The keys of a campaign's stages, as folders are named.
    async fn stages_of(&self, campaign: Selector) -> Result<BTreeSet<String>, ApiError> {
        let keys = self.look_at(campaign, |view, campaign| view.find_stages(campaign, &[]).ok()).await?;
        Ok(keys.iter().map(StageKey::to_string).collect())
    }
}
