//! Campaigns that people no longer want to hear of. Which can be forgotten, and what goes with them, the scheduler decides.

use std::collections::BTreeSet;

use vocabulary::{CampaignId, DatasetId, StageKey};

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
    /// Forgets a campaign, unless it is a dry run. What is to be deleted is recorded first, and deleted after that, by the next
    /// coordinator if this one ends before.
    pub(crate) async fn forget(&self, request: ForgetRequest) -> Result<Forgotten, ApiError> {
        let ForgetRequest { campaign, datasets, dry_run } = request;
        let forgotten = self.look(move |view| plan(view, campaign.as_str())).await??;
        if !dry_run {
            let datasets = if datasets { forgotten.datasets.clone() } else { Vec::new() };
            self.driver.forget(forgotten.campaign, datasets).await?;
        }
        Ok(forgotten)
    }
}

fn plan(view: &View, selector: &str) -> Result<Forgotten, RequestError> {
    let campaign = view.find_only(selector)?;
    let ledger = view.scheduler.ledger();
    let known = view.scheduler.forgettable(&campaign).map_err(|error| RequestError::Forget { campaign, error })?;
    let gone: BTreeSet<StageKey> = ledger.only_of(&campaign).into_iter().collect();
    let checkpoints: Vec<_> = gone.iter().flat_map(|stage| view.index.of(*stage)).collect();
    let mut unused = ledger.datasets(|stage| gone.contains(stage));
    unused.extend(known.plan().dataset.iter().map(|dataset| dataset.id));
    let used = ledger.datasets(|stage| !gone.contains(stage));
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
