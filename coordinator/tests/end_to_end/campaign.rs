//! A campaign from its submission to its results.

use std::time::Duration;

use proto::v1::coordinator_message::Body as Down;
use proto::v1::worker_message::Body as Up;
use proto::v1::{self, CampaignPhase, StagePhase, TrialEnd};
use recipes::price::{Measured, Measurement, Standing, left};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Measurements, StageKey};

use crate::bench::{Bench, PATIENCE, RECIPE, last, phase, plan_of};
use crate::worker::{Worker, loss_at, points};

#[tokio::test]
async fn a_campaign_is_trained_to_its_end_and_never_again() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    assert_eq!(submitted.stages_done, 0);
    let updates = bench.watch(&submitted.campaign).await;

    let mut worker = Worker::join(&bench.handle, "first").await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;

    let ended = last(updates).await;
    assert_eq!(phase(&ended), CampaignPhase::Ended);
    let summary = ended.summary.expect("it has a summary");
    assert_eq!(summary.tokens_done, summary.tokens);
    assert_eq!(summary.stages.expect("they are counted").completed, submitted.stages);

    let detail = bench.detail("smoke").await;
    assert_eq!((detail.recipe_file.as_str(), detail.recipe_text.as_str()), ("smoke.toml", RECIPE));
    let plan = plan_of(&detail.plan_json);
    let results = bench.results(&submitted.campaign).await;
    assert_eq!(results.len(), plan.trials.len(), "every trial has a loss");
    for (result, trial) in results.iter().zip(&plan.trials) {
        let last = trial.last_stage();
        assert_eq!((&result.trial, &result.stage), (&trial.id.to_string(), &last.to_string()));
        let end = plan.stage(last).expect("it is in the plan").spec.steps.end;
        let measured = Measurements::try_from(result.result.clone().expect("it has one")).expect("it is sound");
        assert_eq!(measured.get(VALIDATION_LOSS), Some(loss_at(end)));
    }
    bench.assert_curves_are_whole(&submitted.campaign).await;

    let again = bench.submit().await;
    assert_eq!((again.campaign, again.stages_done), (submitted.campaign.clone(), submitted.stages));
    assert_eq!(phase(&last(bench.watch(&submitted.campaign).await).await), CampaignPhase::Ended);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_child_starts_from_the_last_checkpoint_of_its_parent() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let mut children = 0;
    for _ in 0..submitted.stages {
        let job = worker.next_job().await;
        match (job.stage.parent, &job.start) {
            (None, None) => {}
            (Some(parent), Some(start)) => {
                children += 1;
                assert_eq!(
                    (start.stage.as_str(), start.step),
                    (parent.to_string().as_str(), job.stage.spec.steps.start)
                );
                let text = std::fs::read(worker.storage.join(&start.manifest_path)).expect("the manifest is there");
                assert_eq!(blake3::hash(&text).to_hex().as_str(), start.manifest_hash);
            }
            other => panic!("a child has a start and a root has none: {other:?}"),
        }
        worker.finish(&job, job.first_step()).await;
    }
    assert!(children > 0, "the recipe has branches");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_damaged_checkpoint_is_no_checkpoint() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    let commit = worker.write_checkpoint(&job, job.end_step());
    let manifest = worker.storage.join(&commit.manifest_path);
    std::fs::write(manifest.with_file_name("weights.safetensors"), "something else").expect("it is written");
    worker.report(Up::CommitCheckpoint(commit)).await;
    worker.report_completed(&job).await;

    let Down::Refusal(refusal) = worker.next_order().await else { panic!("the attempt is refused") };
    assert_eq!(refusal.attempt.as_ref(), Some(&job.attempt));
    assert!(refusal.reason.contains("weights.safetensors: expected"), "{}", refusal.reason);
    let Down::Refusal(again) = worker.next_order().await else { panic!("its completion comes too late") };
    assert_eq!((again.attempt.as_ref(), again.reason.as_str()), (Some(&job.attempt), ""));
    let shown = bench.detail(&submitted.campaign).await;
    let stage = shown.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
    assert_eq!((stage.phase(), stage.committed_step), (StagePhase::Waiting, None));
    assert!(stage.reason.contains("the coordinator cannot use checkpoints/"), "{}", stage.reason);

    worker.report(Up::RevocationConfirmed(v1::RevocationConfirmed { attempt: refusal.attempt })).await;
    let mut attempts = Vec::new();
    for _ in 0..submitted.stages {
        let job = worker.next_job().await;
        attempts.push((job.attempt.stage.clone(), job.attempt.attempt));
        worker.finish(&job, job.first_step()).await;
    }
    assert!(attempts.contains(&(job.attempt.stage, 2)), "it is tried again: {attempts:?}");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn what_is_said_of_the_attempt_of_another_changes_nothing() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut owner = Worker::join(&bench.handle, "first").await;
    let job = owner.next_job().await;
    let mut other = Worker::join(&bench.handle, "second").await;
    other.next_job().await;

    other.report(points(&job, 0..3)).await;
    other.settle().await;
    assert_eq!(bench.curve(&submitted.campaign, &job.attempt.stage).await, []);

    other.report_completed(&job).await;
    let Down::Refusal(refusal) = other.next_order().await else { panic!("it is refused") };
    assert_eq!(refusal.attempt.as_ref(), Some(&job.attempt));

    owner.report_points(&job, 0..3).await;
    owner.settle().await;
    let steps: Vec<_> = bench.curve(&submitted.campaign, &job.attempt.stage).await;
    assert_eq!(steps, [0, 1, 2].map(|step| (step, loss_at(step))));

    let stages = vec![job.attempt.stage.clone()];
    for (after, left) in [(0, vec![1, 2]), (2, vec![]), (u64::MAX, vec![])] {
        let request = v1::GetCurvesRequest {
            campaign: submitted.campaign.clone(),
            stages: stages.clone(),
            after_step: Some(after),
        };
        let mut curves = bench.client.get_curves(request).await.expect("it is known").into_inner();
        let mut found = Vec::new();
        while let Some(curve) = curves.message().await.expect("the stream is whole") {
            found.extend(curve.points.iter().map(|point| point.step));
        }
        assert_eq!(found, left, "after {after}");
    }
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_cancelled_campaign_is_taken_from_its_workers() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let updates = bench.watch(&submitted.campaign).await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;

    let request = v1::CancelCampaignRequest { campaign: submitted.campaign.clone() };
    bench.client.cancel_campaign(request).await.expect("it is known");
    let Down::Revocation(revocation) = worker.next_order().await else { panic!("the attempt is taken away") };
    assert_eq!(revocation.attempt.as_ref(), Some(&job.attempt));
    assert!(revocation.checkpoint_first, "it has its lease");
    assert_eq!(phase(&last(updates).await), CampaignPhase::Cancelled);

    // Submitted again, it resumes from the checkpoint that the worker took last.
    worker.report_points(&job, 0..1).await;
    worker.report_checkpoint(&job, 1).await;
    worker.report(Up::RevocationConfirmed(v1::RevocationConfirmed { attempt: revocation.attempt })).await;
    worker.settle().await;
    bench.submit().await;
    let again = worker.next_job().await;
    assert_eq!((again.stage.key, again.first_step()), (job.stage.key, 1));
    worker.finish(&again, 1).await;
    worker.work(submitted.stages as usize - 1).await;
    worker.settle().await;
    assert_eq!(bench.results(&submitted.campaign).await.len(), 6);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_diverged_stage_is_a_result() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let updates = bench.watch(&submitted.campaign).await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let mut diverged = 0;
    while diverged < 2 {
        // Of both trees, the root: nothing below it can be trained.
        let job = worker.next_job().await;
        assert_eq!(job.stage.parent, None);
        let lost = v1::CurvePoint {
            step: 0,
            loss: f64::NAN,
            grad_norm: f64::INFINITY,
            learning_rate: 0.1,
            measurements: Vec::new(),
        };
        let curve = v1::CurvePoints { attempt: Some(job.attempt.clone()), points: vec![lost] };
        worker.report(Up::CurvePoints(curve)).await;
        let report = v1::StageDiverged { attempt: Some(job.attempt.clone()), step: 0, loss: f64::NAN };
        worker.report(Up::StageDiverged(report)).await;
        diverged += 1;
        let curve = async {
            loop {
                let points = bench.curve(&submitted.campaign, &job.attempt.stage).await;
                if !points.is_empty() {
                    return points;
                }
            }
        };
        let curve = tokio::time::timeout(PATIENCE, curve).await.expect("the point is stored");
        assert!(curve[0].1.is_nan(), "a NaN loss stays NaN: {curve:?}");
    }
    let summary = last(updates).await.summary.expect("it has a summary");
    let trials = summary.trials.expect("they are counted");
    assert_eq!((summary.phase(), trials.diverged, trials.completed), (CampaignPhase::Ended, 6, 0));
    let results = bench.results(&submitted.campaign).await;
    assert_eq!(results.len(), 6, "that it diverged is a result");
    assert!(results.iter().all(|result| result.end() == TrialEnd::Diverged && result.result.is_none()), "{results:?}");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn without_a_worker_nothing_is_said_of_the_time_left() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    assert_eq!(bench.detail(&submitted.campaign).await.summary.expect("it has one").left_ms, None);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn what_workers_do_can_be_watched() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    worker.report_points(&job, 0..3).await;
    let progress = v1::Progress {
        attempt: Some(job.attempt.clone()),
        latest: Some(v1::CurvePoint { step: 1, loss: loss_at(1), ..Default::default() }),
        tokens_per_second: 1234.0,
        ..Default::default()
    };
    let heartbeat = v1::Heartbeat { running: vec![job.attempt.clone()], progress: Some(progress), held: None };
    worker.say(0, Up::Heartbeat(heartbeat)).await;
    worker.report_points(&job, 3..4).await;
    worker.settle().await;

    let mut updates = bench.watch(&submitted.campaign).await;
    let update = updates.message().await.expect("the stream is sound").expect("there is an update");
    let summary = update.summary.as_ref().expect("it has a summary");
    assert_eq!(summary.phase(), CampaignPhase::Open);
    assert_eq!(summary.stages.expect("they are counted").running, 1);
    assert_eq!(summary.tokens_done, 4 * job.stage.spec.batch.tokens(), "steps count before their checkpoint");
    let [shown] = update.workers.as_slice() else { panic!("there is one worker: {:?}", update.workers) };
    assert!(shown.connected && shown.device == "paper");
    assert_eq!(shown.stage.as_ref().map(|stage| &stage.key), Some(&job.attempt.stage));
    let progress = shown.progress.as_ref().expect("it trains");
    assert_eq!(progress.latest.as_ref().expect("it said a point").step, 3, "points are ahead of heartbeats");
    assert!(progress.tokens_per_second > 0.0);

    // The time left follows from what its one worker says.
    let detail = bench.detail(&submitted.campaign).await;
    let plan = plan_of(&detail.plan_json);
    let spec = &job.stage.spec;
    let mut measured = Measurement::nothing_of(spec);
    measured.add(spec, spec.tokens().0 as f64 / progress.tokens_per_second);
    let speeds = Measured { own: vec![measured], others: Vec::new() }.speeds();
    let at = |key: &StageKey| Standing::At { step: if key.to_string() == job.attempt.stage { 4 } else { 0 } };
    let expected = left(&plan, at, &speeds, 1).expect("it is measured");
    assert_eq!(summary.left_ms, Some((expected.seconds * 1e3) as u64));
    assert!(!summary.left_at_least);
    // And who has had its stage since when.
    let shown = detail.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is listed");
    assert_eq!((shown.worker_name.as_str(), shown.step, shown.ended_at_ms), ("a worker", Some(4), None));
    assert!(shown.started_at_ms.is_some());
    let waiting = detail.stages.iter().filter(|stage| stage.phase() == StagePhase::Waiting);
    assert!(waiting.clone().count() > 0 && waiting.clone().all(|it| it.started_at_ms.is_none() && it.device_ms == 0));
    bench.handle.shutdown().await;

    let end = async { while let Ok(Some(_)) = updates.message().await {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the stream ends with the coordinator");
}

#[tokio::test]
async fn a_worker_that_falls_silent_loses_its_attempt() {
    let mut bench = Bench::with_lease(Duration::from_millis(200)).await;
    let submitted = bench.submit().await;
    let mut silent = Worker::join(&bench.handle, "first").await;
    let job = silent.next_job().await;
    let given_up = async {
        loop {
            let stages = bench.detail(&submitted.campaign).await.stages;
            let stage = stages.into_iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
            if stage.phase() == StagePhase::Waiting {
                return stage;
            }
        }
    };
    let stage = tokio::time::timeout(PATIENCE, given_up).await.expect("the lease ends");
    assert!(stage.reason.contains("never confirmed"), "{}", stage.reason);

    silent.report_points(&job, 0..3).await;
    silent.report_completed(&job).await;
    let Down::Refusal(refusal) = silent.next_order().await else { panic!("it is refused") };
    assert_eq!(refusal.attempt.as_ref(), Some(&job.attempt));
    assert_eq!(bench.curve(&submitted.campaign, &job.attempt.stage).await, []);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_hello_that_a_later_one_overtook_is_turned_away() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "a").await;
    let job = worker.next_job().await;
    worker.report_points(&job, job.first_step()..job.first_step() + 1).await;
    worker.settle().await;
    // It reports no attempts, which was true when it was sent. The attempt would be lost over it.
    assert!(worker.is_turned_away(&bench.handle, 1).await);
    worker.finish(&job, job.first_step() + 1).await;
    worker.settle().await;
    let shown = bench.detail(&submitted.campaign).await;
    let stage = shown.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
    assert_eq!((stage.phase(), stage.attempt), (StagePhase::Completed, Some(1)));
    bench.handle.shutdown().await;
}
