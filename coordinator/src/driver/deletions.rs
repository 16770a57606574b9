//! Files that nothing needs any more after a campaign was forgotten. What is to be deleted is durable before anything is, and a
//! coordinator that starts continues with what the one before it left.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore};
use proto::layout;
use scheduler::Fact;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};
use vocabulary::{DatasetId, Evaluation, Stage, StageKey};

use super::Driver;
use super::batch::{Afterwards, Batch};
use super::input::Input;
use crate::clock::unix_ms;
use crate::orphans::STANDALONE;
use crate::store::Commit;

/// How long a coordinator that stops waits for deletions to end.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(10);

/// Folders whose files are to be deleted, with the task that does so and says whether it could; `None` where none was begun.
#[derive(Debug, Default)]
pub(super) struct Deletions(BTreeMap<String, Option<AbortOnDropHandle<bool>>>);

impl Deletions {
    pub(super) fn of(folders: Vec<String>) -> Self {
        Self(folders.into_iter().map(|folder| (folder, None)).collect())
    }
}

impl Driver {
    /// Deletes the files of stages and datasets once this turn is durable.
    pub(super) fn delete_later(&mut self, stages: &[StageKey], datasets: &[DatasetId], batch: &mut Batch) {
        let folders = stages.iter().map(layout::stage_path).chain(datasets.iter().map(layout::dataset_path));
        for folder in folders {
            self.deletions.0.insert(folder.clone(), None);
            batch.deleted.retain(|deleted| *deleted != folder);
            batch.to_delete.push(folder.clone());
            batch.afterwards.push(Afterwards::DeleteFolder(folder));
        }
    }

    /// Keeps what is needed again. Its remaining files are orphans, or belong to the dataset.
    pub(super) fn keep_what_is_wanted(&mut self, fact: &Fact, batch: &mut Batch) {
        if self.deletions.0.is_empty() {
            return;
        }
        let (stages, evaluations, dataset): (&[Stage], &[Evaluation], _) = match fact {
            Fact::CampaignAccepted { plan } => (&plan.stages, &plan.evaluations, plan.dataset.as_ref()),
            Fact::CampaignGrown { growth } => (&growth.stages, &growth.evaluations, None),
            _ => return,
        };
        let of_stages = stages
            .iter()
            .flat_map(|stage| [layout::stage_path(&stage.key), layout::dataset_path(&stage.spec.data.dataset)]);
        let of_evaluations = evaluations.iter().map(|evaluation| layout::dataset_path(&evaluation.spec.task.dataset));
        let wanted = of_stages.chain(of_evaluations).chain(dataset.map(|dataset| layout::dataset_path(&dataset.id)));
        for folder in wanted {
            if self.deletions.0.remove(&folder).is_some() {
                batch.deleted.push(folder);
            }
        }
    }

    /// Continues the deletions of an earlier coordinator.
    pub(super) fn resume_deletions(&mut self) {
        let folders: Vec<String> = self.deletions.0.keys().cloned().collect();
        if !folders.is_empty() {
            info!(folders = folders.len(), "deletes what an earlier coordinator left of forgotten campaigns");
        }
        folders.into_iter().for_each(|folder| self.delete_folder(folder));
    }

    /// Deletes the files below a folder, beside the driver, unless somebody wants them by now.
    pub(super) fn delete_folder(&mut self, folder: String) {
        let Some(task) = self.deletions.0.get_mut(&folder) else { return };
        let (storage, inputs) = (self.storage.clone(), self.own_inputs.clone());
        *task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let deleted = delete_below(storage.as_ref(), &folder).await;
            if let Err(error) = &deleted {
                let error: &dyn std::error::Error = error;
                warn!(folder, error, "files of a forgotten campaign are left; the next start deletes them");
                return false;
            }
            // A driver that stops asks the task itself.
            let _ = inputs.send(Input::Deleted { folder }).await;
            true
        })));
    }

    pub(super) fn on_deleted(&mut self, folder: String, batch: &mut Batch) {
        if self.deletions.0.remove(&folder).is_some() {
            batch.deleted.push(folder);
        }
    }

    /// Lets deletions come to their end, for a while, and notes those that did.
    pub(super) async fn finish_deletions(&mut self) {
        // Their reports are not read any more, and are to hold up nobody.
        self.inputs.close();
        let by = Instant::now() + PATIENCE_AT_THE_END;
        let mut deleted = Vec::new();
        for (folder, task) in std::mem::take(&mut self.deletions.0) {
            let Some(task) = task else { continue };
            match timeout_at(by, task).await {
                Ok(Ok(true)) => deleted.push(folder),
                Ok(_) => {}
                Err(_) => warn!(folder, "files of a forgotten campaign are left; the next start deletes them"),
            }
        }
        if deleted.is_empty() {
            return;
        }
        let commit = Commit { at_ms: unix_ms(), deleted, ..Commit::default() };
        if let Err(error) = self.store.commit(self.term, &commit).await {
            let error: &dyn std::error::Error = &error;
            warn!(error, "cannot note what is deleted; the next start looks for it in vain");
        }
    }
}

/// Deletes all files below a folder but those of checkpoints that were trained without a coordinator. Manifests go first:
/// files without one belong to no checkpoint.
async fn delete_below(storage: &dyn ObjectStore, folder: &str) -> Result<(), Error> {
    let standalone = format!("{folder}/{}-", STANDALONE.0);
    let listed: Vec<_> = storage.list(Some(&Path::from(folder))).map_ok(|file| file.location).try_collect().await?;
    let is_ours = |file: &Path| !file.as_ref().starts_with(&standalone);
    let (first, then): (Vec<_>, Vec<_>) =
        listed.into_iter().filter(is_ours).partition(|file| file.filename() == Some(layout::MANIFEST));
    for files in [first, then] {
        let mut outcomes = storage.delete_stream(futures::stream::iter(files.into_iter().map(Ok)).boxed());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
