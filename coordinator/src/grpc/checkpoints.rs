//! The calls about checkpoints: what there is, and what may go.

use std::time::{Duration, SystemTime};

use proto::v1;
use scheduler::Hold;
use tonic::Status;

use super::campaigns::{CampaignApi, bounded};
use super::status;
use crate::driver::collection::Listed;
use crate::driver::view::View;
use crate::orphans::{self, InUse, Orphan};

/// However young a caller would have them deleted: a worker that lost its attempt may not have heard of it yet, and what
/// it writes harms nobody, but deleting it under its hands would be reported as a failing storage.
const YOUNGEST_ORPHAN: Duration = Duration::from_secs(60);

pub(super) async fn list(
    api: &CampaignApi,
    request: v1::ListCheckpointsRequest,
) -> Result<v1::ListCheckpointsResponse, Status> {
    let listed = listed(api, request.campaign).await?;
    Ok(v1::ListCheckpointsResponse { checkpoints: listed.iter().map(encode).collect() })
}

pub(super) async fn collect(
    api: &CampaignApi,
    request: v1::CollectCheckpointsRequest,
) -> Result<v1::CollectCheckpointsResponse, Status> {
    let v1::CollectCheckpointsRequest { campaign, dry_run, min_age_seconds } = request;
    let campaign = bounded(campaign)?;
    let storage_failed = |error| Status::unavailable(format!("the storage of checkpoints cannot be read: {error}"));
    // Listed before it is asked what is in use: what is committed meanwhile is no orphan then.
    let files = orphans::list(api.storage.as_ref(), Some(&api.data_dir)).await.map_err(storage_failed)?;
    let going: Vec<Listed> = if dry_run {
        let mut listed = listed(api, campaign.clone()).await?;
        listed.retain(|listed| listed.hold.is_none());
        listed
    } else {
        let collected = self::collected(api, campaign.clone()).await?;
        collected.into_iter().map(|checkpoint| Listed { checkpoint, hold: None }).collect()
    };
    let look = |view: &View<'_>| {
        let committed = view.index.all().map(|indexed| (indexed.stage, indexed.attempt, indexed.step));
        InUse::new(view.scheduler, committed)
    };
    let mut in_use = api.driver.look(look).await.map_err(status::from_request)?;
    // Their files go with them, and are no orphans beside.
    in_use
        .committed
        .extend(going.iter().map(|Listed { checkpoint, .. }| (checkpoint.stage, checkpoint.attempt, checkpoint.step)));
    let min_age = Duration::from_secs(min_age_seconds).max(YOUNGEST_ORPHAN);
    let mut orphans = orphans::orphans(&files, &in_use, min_age, SystemTime::now());
    if !campaign.is_empty() {
        let find = move |view: &View<'_>| {
            let campaign = view.find(&campaign)?;
            view.find_stages(&campaign, &[])
        };
        let stages = api.driver.look(find).await.and_then(|stages| stages).map_err(status::from_request)?;
        let stages: std::collections::BTreeSet<String> = stages.iter().map(ToString::to_string).collect();
        orphans.retain(|orphan| orphan.path.split('/').nth(1).is_some_and(|stage| stages.contains(stage)));
    }
    if !dry_run {
        let deleted = orphans::delete(api.storage.as_ref(), Some(&api.data_dir), &orphans).await;
        deleted.map_err(|error| Status::unavailable(format!("files cannot be deleted: {error}")))?;
    }
    let bytes =
        going.iter().map(|listed| listed.checkpoint.bytes).chain(orphans.iter().map(|orphan| orphan.bytes)).sum();
    Ok(v1::CollectCheckpointsResponse {
        checkpoints: going.iter().map(encode).collect(),
        orphans: orphans.into_iter().map(|Orphan { path, bytes }| v1::OrphanedFile { path, bytes }).collect(),
        bytes,
    })
}

async fn listed(api: &CampaignApi, campaign: String) -> Result<Vec<Listed>, Status> {
    let selector = bounded(campaign)?;
    let look = move |view: &View<'_>| {
        let campaign = (!selector.is_empty()).then(|| view.find(&selector)).transpose()?;
        Ok(view.checkpoints(campaign.as_ref()))
    };
    api.driver.look(look).await.and_then(|listed| listed).map_err(status::from_request)
}

async fn collected(api: &CampaignApi, campaign: String) -> Result<Vec<crate::driver::index::Indexed>, Status> {
    api.driver.collect(campaign).await.map_err(status::from_request)
}

fn encode(listed: &Listed) -> v1::CommittedCheckpoint {
    let Listed { checkpoint, hold } = listed;
    let hold = match hold {
        None => v1::CheckpointHold::Unspecified,
        Some(Hold::BranchPoint) => v1::CheckpointHold::BranchPoint,
        Some(Hold::Result) => v1::CheckpointHold::Result,
        Some(Hold::Newest) => v1::CheckpointHold::Newest,
    };
    v1::CommittedCheckpoint {
        stage: checkpoint.stage.to_string(),
        step: checkpoint.step,
        attempt: checkpoint.attempt.0,
        bytes: checkpoint.bytes,
        committed_at_ms: checkpoint.committed_at_ms,
        hold: hold.into(),
    }
}
