//! Checkpoints that workers cannot use: the coordinator looks for itself.

use std::fs;
use std::path::Path;

use proto::v1::coordinator_message::Body as Down;
use proto::v1::worker_message::Body as Up;
use proto::v1::{self, CampaignPhase, StagePhase};

use crate::bench::{Bench, last, phase};
use crate::worker::{Job, Worker, points};

/// What a worker says that cannot start from what it was told to.
fn unusable(job: &Job) -> Up {
    let checkpoint = job.start.clone();
    Up::StartUnusable(v1::StartUnusable {
        attempt: Some(job.attempt.clone()),
        checkpoint,
        reason: "bad hash".to_owned(),
    })
}

/// A branch of a trunk that was trained with a checkpoint in its middle.
async fn at_a_branch(bench: &Bench, worker: &mut Worker) -> (Job, u64, Job) {
    let trunk = worker.next_job().await;
    let middle = trunk.end_step() / 2;
    worker.report_points(&trunk, 0..middle).await;
    worker.report_checkpoint(&trunk, middle).await;
    worker.finish(&trunk, middle).await;
    let branch = worker.next_job().await;
    let start = branch.start.as_ref().expect("it starts from its trunk");
    assert_eq!((start.stage.as_str(), start.step), (trunk.attempt.stage.as_str(), trunk.end_step()));
    assert!(bench.dir.path().join(&start.manifest_path).is_file());
    (trunk, middle, branch)
}

#[tokio::test]
async fn a_trunk_whose_last_checkpoint_is_damaged_is_trained_again_from_the_one_before() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let (trunk, middle, branch) = at_a_branch(&bench, &mut worker).await;
    let start = branch.start.clone().expect("it has one");
    let weights = bench.dir.path().join(&start.manifest_path).with_file_name("weights.safetensors");
    fs::write(weights, "others").expect("it is written");
    worker.report(unusable(&branch)).await;

    let again = worker.next_job().await;
    assert_eq!((&again.attempt.stage, again.attempt.attempt), (&trunk.attempt.stage, 2));
    assert_eq!(again.first_step(), middle);
    let detail = bench.detail(&submitted.campaign).await;
    let stage = |key: &str| detail.stages.iter().find(|stage| stage.key == key).expect("it is in the plan").clone();
    assert_eq!(stage(&trunk.attempt.stage).damaged_checkpoints, [trunk.end_step()]);
    assert_eq!(stage(&trunk.attempt.stage).phase(), StagePhase::Running);
    assert_eq!(stage(&branch.attempt.stage).phase(), StagePhase::Waiting);
    assert_eq!(detail.summary.expect("it has one").damaged_checkpoints, 1);

    bench.see_through(&submitted.campaign, &mut worker, (&again, middle), submitted.stages as usize - 1).await;

    let mut bench = bench.restart().await;
    let detail = bench.detail(&submitted.campaign).await;
    assert_eq!(detail.summary.expect("it has one").damaged_checkpoints, 1, "the loss stays known");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_speaks_ill_of_a_sound_checkpoint_is_not_believed() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let (trunk, _, branch) = at_a_branch(&bench, &mut worker).await;
    worker.report(unusable(&branch)).await;
    let next = worker.next_job().await;
    let detail = bench.detail(&submitted.campaign).await;
    let trunk = detail.stages.iter().find(|stage| stage.key == trunk.attempt.stage).expect("it is in the plan");
    assert_eq!((trunk.phase(), trunk.damaged_checkpoints.len()), (StagePhase::Completed, 0));
    assert!(next.start.is_some() || next.stage.parent.is_none(), "the trunk is started from as before");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_storage_that_is_not_there_has_lost_nothing() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let (_, _, branch) = at_a_branch(&bench, &mut worker).await;
    let [hidden, away] = ["datasets", "checkpoints"].map(|name| bench.dir.path().join(name));
    for folder in [&hidden, &away] {
        fs::rename(folder, folder.with_extension("away")).expect("it is moved");
    }
    worker.report(unusable(&branch)).await;
    worker.settle().await;
    for folder in [&hidden, &away] {
        fs::rename(folder.with_extension("away"), folder).expect("it is moved back");
    }
    let detail = bench.detail(&submitted.campaign).await;
    assert_eq!(detail.summary.expect("it has one").damaged_checkpoints, 0);
    // Rested, it is given the same again.
    let updates = bench.watch(&submitted.campaign).await;
    let again = worker.next_job().await;
    assert_eq!((again.stage.key, again.attempt.attempt), (branch.stage.key, 2));
    assert_eq!(again.start, branch.start);
    worker.finish(&again, again.first_step()).await;
    worker.work(submitted.stages as usize - 2).await;
    worker.settle().await;
    assert_eq!(phase(&last(updates).await), CampaignPhase::Ended);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_the_storage_fails_is_given_the_stage_again() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    for _ in 0..9 {
        let job = worker.next_job().await;
        let failed = v1::StorageFailed { attempt: Some(job.attempt.clone()), reason: "disk full".to_owned() };
        worker.report(Up::StorageFailed(failed)).await;
    }
    let updates = bench.watch(&submitted.campaign).await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;
    assert_eq!(phase(&last(updates).await), CampaignPhase::Ended);
    bench.handle.shutdown().await;
}

/// Where the process of a worker, or of the coordinator, is gone between the last byte of a checkpoint and the
/// acknowledgement of its commit, the next attempt starts from the one before it or from this one.
#[tokio::test]
async fn a_checkpoint_that_was_written_and_not_reported_does_not_exist() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let job = worker.next_job().await;
    let (early, late) = (job.end_step() / 4, job.end_step() / 2);
    worker.report_points(&job, 0..early).await;
    worker.report_checkpoint(&job, early).await;
    worker.report_points(&job, early..late).await;
    worker.settle().await;
    worker.write_checkpoint(&job, late);
    worker.say(0, Up::Goodbye(v1::Goodbye::default())).await;
    worker.end().await;

    let mut worker = Worker::join(&bench.handle, "second").await;
    let again = worker.next_job().await;
    assert_eq!((again.attempt.attempt, again.first_step()), (2, early));
    bench.see_through(&submitted.campaign, &mut worker, (&again, early), submitted.stages as usize - 1).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_commit_whose_acknowledgement_is_lost_is_committed_once() {
    let (bench, submitted, mut worker) = Bench::at_work().await;
    let job = worker.next_job().await;
    let middle = job.end_step() / 2;
    worker.report_points(&job, 0..middle).await;
    let commit = worker.write_checkpoint(&job, middle);
    worker.report(Up::CommitCheckpoint(commit.clone())).await;
    worker.settle().await;

    // For all this worker knows it was never heard: it says it again, to the next coordinator.
    let mut bench = bench.restart().await;
    let mut worker = worker.rejoin(&bench.handle, vec![job.attempt.clone()]).await;
    worker.say(worker.sequence, Up::CommitCheckpoint(commit)).await;
    worker.settle().await;
    let detail = bench.detail(&submitted.campaign).await;
    let stage = detail.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
    assert_eq!((stage.committed_step, stage.attempt), (Some(middle), Some(1)));
    bench.see_through(&submitted.campaign, &mut worker, (&job, middle), submitted.stages as usize - 1).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn what_nothing_needs_is_collected_while_the_campaign_runs() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let (trunk, middle, branch) = at_a_branch(&bench, &mut worker).await;
    // Never reported, and old; another of the attempt that runs.
    let old = worker.write_checkpoint(&trunk, middle + 1);
    let own = worker.write_checkpoint(&branch, branch.first_step() + 1);
    let staged = bench.dir.path().join(&old.manifest_path).with_file_name("weights.safetensors#1");
    fs::write(&staged, "half").expect("it is written");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let files = |manifest: &str| {
        let folder = bench.dir.path().join(manifest).parent().expect("it lies in a folder").to_owned();
        fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect::<Vec<_>>()
    };
    for file in [&old, &own].into_iter().flat_map(|commit| files(&commit.manifest_path)) {
        fs::File::options().write(true).open(file).and_then(|file| file.set_modified(long_ago)).expect("it is aged");
    }
    // Earlier versions left folders behind.
    let emptied = bench.dir.path().join("checkpoints").join(&branch.attempt.stage).join("9-9");
    fs::create_dir_all(&emptied).expect("it is made");
    fs::File::open(&emptied).and_then(|folder| folder.set_modified(long_ago)).expect("it is aged");
    let request = |dry_run| v1::CollectCheckpointsRequest { dry_run, min_age_seconds: 3600, ..Default::default() };
    let would_go = bench.client.collect_checkpoints(request(true)).await.expect("it is answered").into_inner();
    assert_eq!(would_go.checkpoints.len(), 1, "{would_go:?}");
    assert_eq!((&would_go.checkpoints[0].stage, would_go.checkpoints[0].step), (&trunk.attempt.stage, middle));
    assert_eq!(would_go.orphans.len(), 4, "{would_go:?}");
    assert!(staged.is_file(), "nothing went");

    let gone = bench.client.collect_checkpoints(request(false)).await.expect("it is answered").into_inner();
    assert_eq!(gone, would_go);
    assert!(!staged.exists() && files(&old.manifest_path).is_empty());
    assert!(!emptied.exists(), "an empty folder goes, too");
    let folder = bench.dir.path().join(&old.manifest_path).parent().expect("it has one").to_owned();
    assert!(!folder.exists() || folder.read_dir().expect("it is one").next().is_some(), "no empty folder is left");
    assert_eq!(files(&own.manifest_path).len(), 3, "an attempt that runs may be writing");
    let listed = bench.client.list_checkpoints(v1::ListCheckpointsRequest::default()).await;
    let listed = listed.expect("it is answered").into_inner().checkpoints;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].step, listed[0].hold()), (trunk.end_step(), v1::CheckpointHold::BranchPoint));
    let nothing = bench.client.collect_checkpoints(request(false)).await.expect("it is answered").into_inner();
    assert_eq!(nothing, v1::CollectCheckpointsResponse::default());

    bench
        .see_through(&submitted.campaign, &mut worker, (&branch, branch.first_step()), submitted.stages as usize - 2)
        .await;
    let bench = bench.restart().await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_quota_removes_the_oldest_that_nothing_needs() {
    let mut bench = Bench::new().await;
    let mut submission = crate::bench::submission();
    // Room for a few of the small checkpoints of these workers, which take some 700 bytes.
    submission.recipe_text.push_str("\n[checkpoints]\nquota_gib = 0.000002\n");
    let submitted = bench.client.submit(submission).await.expect("it is accepted").into_inner();
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    for step in 1..job.end_step() {
        worker.report_points(&job, step - 1..step).await;
        worker.report_checkpoint(&job, step).await;
    }
    worker.settle().await;
    let listed = bench.client.list_checkpoints(v1::ListCheckpointsRequest::default()).await;
    let listed = listed.expect("it is answered").into_inner().checkpoints;
    let bytes: u64 = listed.iter().map(|checkpoint| checkpoint.bytes).sum();
    assert!(bytes <= 2147, "{bytes} bytes");
    assert_eq!(listed.last().expect("the newest stays").step, job.end_step() - 1);
    // What is needed stays, quota or not.
    bench
        .see_through(&submitted.campaign, &mut worker, (&job, job.end_step() - 1), submitted.stages as usize - 1)
        .await;
    bench.handle.shutdown().await;
}

/// What ends an attempt whose checkpoint is not there: an order to stop, with the reason.
async fn refusal(worker: &mut Worker) -> v1::Refusal {
    match worker.next_order().await {
        Down::Refusal(refusal) => refusal,
        other => panic!("expected a refusal, and got {other:?}"),
    }
}

#[tokio::test]
async fn the_first_checkpoint_that_the_coordinator_does_not_find_ends_the_attempt_and_nobody_is_blamed() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    for attempt in 1..=4 {
        let job = worker.next_job().await;
        assert_eq!(job.attempt.attempt, attempt);
        let early = job.end_step() / 4;
        worker.report_points(&job, 0..early).await;
        let commit = worker.write_checkpoint(&job, early);
        // As where the worker's folder of checkpoints is another one than the coordinator's.
        fs::remove_dir_all(bench.dir.path().join("checkpoints")).expect("it is removed");
        worker.report(Up::CommitCheckpoint(commit)).await;
        let refusal = refusal(&mut worker).await;
        assert_eq!(refusal.attempt.as_ref(), Some(&job.attempt));
        let path = bench.dir.path().display().to_string();
        assert!(refusal.reason.contains("manifest.json") && refusal.reason.contains(&path), "{}", refusal.reason);
        let detail = bench.detail(&submitted.campaign).await;
        let stage = detail.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
        assert_eq!(stage.phase(), StagePhase::Waiting);
        assert!(stage.reason.contains("the coordinator cannot use checkpoints/"), "{}", stage.reason);
        let stopped = v1::RevocationConfirmed { attempt: Some(job.attempt.clone()) };
        worker.report(Up::RevocationConfirmed(stopped)).await;
    }
    let updates = bench.watch(&submitted.campaign).await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;
    assert_eq!(phase(&last(updates).await), CampaignPhase::Ended);
    bench.handle.shutdown().await;
}

/// A storage that does not answer: every file in it is a circle of links.
fn cut_off(folder: &Path) -> impl FnOnce() + use<> {
    let (folder, away) = (folder.to_owned(), folder.with_extension("away"));
    fs::rename(&folder, &away).expect("it is moved");
    std::os::unix::fs::symlink(&folder, &folder).expect("it is linked");
    move || {
        fs::remove_file(&folder).expect("it is removed");
        fs::rename(&away, &folder).expect("it is moved back");
    }
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_read_for_a_while_is_committed_after_it_and_outlives_connections() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let job = worker.next_job().await;
    let (early, late) = (job.end_step() / 4, job.end_step() / 2);
    worker.report_points(&job, 0..early).await;
    worker.settle().await;
    let commit = worker.write_checkpoint(&job, early);
    let come_back = cut_off(&bench.dir.path().join("checkpoints"));
    worker.report(Up::CommitCheckpoint(commit.clone())).await;
    worker.report_points(&job, early..late).await;
    let stage = async |bench: &mut Bench| {
        let detail = bench.detail(&submitted.campaign).await;
        detail.stages.into_iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan")
    };
    // It is said.
    while !stage(&mut bench).await.reason.contains("the coordinator cannot read its latest checkpoint") {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.acknowledged, worker.sequence - 2, "neither is acknowledged");

    // What the worker says again over new connections is the same report.
    for _ in 0..3 {
        worker = worker.rejoin(&bench.handle, vec![job.attempt.clone()]).await;
        worker.say(worker.sequence - 1, Up::CommitCheckpoint(commit.clone())).await;
        worker.say(worker.sequence, points(&job, early..late)).await;
        assert_eq!(stage(&mut bench).await.phase(), StagePhase::Running);
    }
    come_back();
    worker.settle().await;
    let after = stage(&mut bench).await;
    assert_eq!((after.committed_step, after.attempt, after.reason.as_str()), (Some(early), Some(1), ""));
    bench.see_through(&submitted.campaign, &mut worker, (&job, late), submitted.stages as usize - 1).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn nobody_waits_for_a_checkpoint_of_an_attempt_that_is_over() {
    let (mut bench, submitted, mut worker) = Bench::at_work().await;
    let job = worker.next_job().await;
    let early = job.end_step() / 4;
    worker.report_points(&job, 0..early).await;
    worker.settle().await;
    let commit = worker.write_checkpoint(&job, early);
    let come_back = cut_off(&bench.dir.path().join("checkpoints"));
    worker.report(Up::CommitCheckpoint(commit)).await;
    let campaign = submitted.campaign.clone();
    bench.client.cancel_campaign(v1::CancelCampaignRequest { campaign }).await.expect("it is cancelled");
    loop {
        match worker.next_order().await {
            Down::Revocation(revocation) => {
                assert_eq!(revocation.attempt.as_ref(), Some(&job.attempt));
                let stopped = v1::RevocationConfirmed { attempt: revocation.attempt };
                worker.report(Up::RevocationConfirmed(stopped)).await;
            }
            Down::Refusal(_) => break,
            other => panic!("expected an order to stop, and got {other:?}"),
        }
    }
    worker.settle().await;
    come_back();
    bench.handle.shutdown().await;
}
