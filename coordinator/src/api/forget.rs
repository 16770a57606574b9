//! Campaigns that people no longer want to hear of. Which can be forgotten, and what goes with them, the scheduler decides.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use proto::layout;
use vocabulary::{CampaignId, DatasetId, StageKey, Work};

use super::requests::ForgetRequest;
use super::{Api, ApiError};
use crate::driver::request_error::RequestError;
use crate::driver::view::View;

/// What goes with a campaign, or would.
#[derive(Debug, Clone)]
pub(crate) struct Forgotten {
    pub(crate) campaign: CampaignId,
    pub(crate) name: String,
    /// Stages and evaluations that only it has.
    pub(crate) stages: usize,
    /// Those that other campaigns have, too; they stay.
    pub(crate) shared: usize,
    pub(crate) checkpoints: usize,
    /// Of the checkpoints.
    pub(crate) bytes: u64,
    /// Datasets that no campaign uses then.
    pub(crate) datasets: Vec<DatasetId>,
}

impl Api {
    /// Forgets a campaign, unless it is a dry run. It is recorded first; files are deleted after that, and those that a crash
    /// leaves are orphans, which a collection removes.
    pub(crate) async fn forget(&self, request: ForgetRequest) -> Result<Forgotten, ApiError> {
        let ForgetRequest { campaign, datasets, dry_run } = request;
        let forgotten = self.look(move |view| plan(view, campaign.as_str())).await??;
        if dry_run {
            return Ok(forgotten);
        }
        self.driver.forget(forgotten.campaign).await?;
        if datasets {
            for dataset in &forgotten.datasets {
                self.delete_dataset(*dataset).await?;
            }
        }
        Ok(forgotten)
    }

    /// Deletes a dataset, unless a campaign has come to use it.
    async fn delete_dataset(&self, dataset: DatasetId) -> Result<(), ApiError> {
        if self.look(move |view| used_by(view, |_| true).contains(&dataset)).await? {
            return Ok(());
        }
        let folder = Path::from(layout::dataset_path(&dataset));
        let storage = self.storage.store();
        let files = storage.list(Some(&folder)).map_ok(|file| file.location).boxed();
        let deleted: Result<Vec<_>, _> = storage.delete_stream(files).try_collect().await;
        deleted.map(drop).map_err(ApiError::DeleteFiles)
    }
}

fn plan(view: &View, selector: &str) -> Result<Forgotten, RequestError> {
    let campaign = view.find(selector)?;
    let ledger = view.scheduler.ledger();
    let known = ledger.forgettable(&campaign).map_err(|error| RequestError::Forget { campaign, error })?;
    let gone: BTreeSet<StageKey> = ledger.only_of(&campaign).into_iter().collect();
    let checkpoints: Vec<_> = gone.iter().flat_map(|stage| view.index.of(*stage)).collect();
    let mut unused = used_by(view, |stage| gone.contains(stage));
    unused.extend(known.plan().dataset.iter().map(|dataset| dataset.id));
    let used = used_by(view, |stage| !gone.contains(stage));
    let others = ledger.campaigns().map(|other| other.plan()).filter(|plan| plan.campaign != campaign);
    let named: BTreeSet<DatasetId> = others.filter_map(|plan| Some(plan.dataset.as_ref()?.id)).collect();
    unused.retain(|dataset| !used.contains(dataset) && !named.contains(dataset));
    Ok(Forgotten {
        campaign,
        name: known.plan().name.clone(),
        stages: gone.len(),
        shared: known.plan().keys().count() - gone.len(),
        checkpoints: checkpoints.len(),
        bytes: checkpoints.iter().map(|checkpoint| checkpoint.bytes).sum(),
        datasets: unused.into_iter().collect(),
    })
}

/// The datasets that these stages and evaluations read.
fn used_by(view: &View, which: impl Fn(&StageKey) -> bool) -> BTreeSet<DatasetId> {
    let works = view.scheduler.ledger().nodes().map(|(work, _)| work).filter(|work| which(&work.key()));
    let dataset = |work: &Work| match work {
        Work::Train(stage) => stage.spec.data.dataset,
        Work::Evaluate(evaluation) => evaluation.spec.task.dataset,
    };
    works.map(dataset).collect()
}
