//! What stops an attempt, and what becomes of the worker then.

use std::fs;
use std::time::Duration;

use proto::v1::worker_message::Body as Up;
use vocabulary::Stage;
use worker::{AttemptKey, Leave, WorkerExit, WorkerOptions};

use crate::bench::{Bench, Worker};
use crate::coordinator::Session;
use crate::record::{Record, kind, read_checkpoint};
use crate::support::{attempt, stage};
use crate::trainer::{Fate, PaperTrainer, WEIGHTS, loss_at, weights_after};

#[tokio::test]
async fn a_revocation_stops_training_before_it_is_confirmed() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 1000);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    reins.hold_at(10);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(10).await;
    session.revoke(key).await;
    // An attempt that it does not have is confirmed at once: then it knows of both revocations.
    let unknown = attempt(&trunk, 7);
    session.revoke(unknown).await;
    session.hear_the_end_of(unknown, &mut record).await;
    assert!(!record.story(key).contains(&"stopped"), "it still trains");

    reins.let_go();
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.story(key).last(), Some(&"stopped"));
    assert_eq!(record.checkpoints(key).len(), 0);
    assert_eq!(reins.at(), 10, "the step it was in is its last");
    assert_completes(&mut session, &stage("next", None, 20)).await;
}

#[tokio::test]
async fn a_refused_attempt_is_stopped_and_its_reports_are_dropped() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 1000);
    let key = attempt(&trunk, 1);
    reins.hold_at(300);
    session.assign(key, &trunk, None).await;
    session.hear(&mut Record::default()).await;
    reins.arrives_at(300).await;
    drop(session);

    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.running, [key.into()]);
    // This coordinator has never heard of it.
    session
        .say(proto::v1::coordinator_message::Body::Refusal(proto::v1::Refusal {
            attempt: Some(key.into()),
            reason: "the test says so".to_owned(),
        }))
        .await;
    session.hear(&mut Record::default()).await;
    let unknown = attempt(&trunk, 7);
    session.revoke(unknown).await;
    session.hear_the_end_of(unknown, &mut Record::default()).await;
    reins.let_go();
    let end = session.hear_the_end_of(key, &mut Record::default()).await;
    assert_eq!(kind(&end), "stopped");
    assert_eq!(reins.at(), 300);
    assert_completes(&mut session, &stage("next", None, 20)).await;
}

#[tokio::test]
async fn a_worker_that_is_preempted_hands_its_attempt_back_with_a_checkpoint_that_another_goes_on_from() {
    let mut bench = Bench::new();
    let (worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    reins.hold_at(10);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(10).await;
    worker.leave(Leave::Preempted).await;
    // It takes nothing any more.
    let other = attempt(&stage("other", None, 20), 1);
    session.assign(other, &stage("other", None, 20), None).await;
    assert_eq!(kind(&session.hear_the_end_of(other, &mut record).await), "released");

    reins.let_go();
    assert_eq!(kind(&session.hear_the_end_of(key, &mut record).await), "released");
    assert_eq!(record.story(key), ["points", "checkpoint", "released"]);
    assert_eq!(record.curve(key), (0..11).map(|step| (step, loss_at(step))).collect::<Vec<_>>());
    let [checkpoint] = record.checkpoints(key).try_into().expect("there is one checkpoint");
    assert_eq!(checkpoint.step, 11);
    assert_eq!(read_checkpoint(&bench.storage(), &checkpoint, WEIGHTS), weights_after(0..11, None));
    assert!(matches!(session.next().await.and_then(|message| message.body), Some(Up::Goodbye(_))));
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well"), WorkerExit::Preempted);

    let _worker = bench.worker();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.running, []);
    let (key, mut record) = (attempt(&trunk, 2), Record::default());
    session.assign(key, &trunk, Some(checkpoint)).await;
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.curve(key), (11..600).map(|step| (step, loss_at(step))).collect::<Vec<_>>());
    let [last] = record.checkpoints(key).try_into().expect("there is one checkpoint");
    assert_eq!(read_checkpoint(&bench.storage(), &last, WEIGHTS), weights_after(0..600, None));
}

#[tokio::test]
async fn a_worker_that_is_preempted_with_nothing_in_hand_says_goodbye() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    assert_completes(&mut session, &stage("trunk", None, 20)).await;
    worker.leave(Leave::Preempted).await;
    assert!(matches!(session.next().await.and_then(|message| message.body), Some(Up::Goodbye(_))));
    assert!(session.next().await.is_none(), "it is the last word");
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well"), WorkerExit::Preempted);
}

#[tokio::test]
async fn a_second_signal_ends_a_worker_in_the_middle_of_a_step() {
    let mut bench = Bench::new();
    let (worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    let key = attempt(&trunk, 1);
    reins.hold_at(300);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(300).await;
    worker.leave(Leave::Preempted).await;
    worker.leave(Leave::AtOnce).await;
    // The step is never done, so nothing but the points from before it is said, and that it goes.
    let mut record = Record::default();
    while let Some(message) = session.next().await {
        if matches!(message.body, Some(Up::Goodbye(_))) {
            break;
        }
        if message.sequence > 0 {
            record.take(message);
        }
    }
    assert!(record.story(key).iter().all(|what| *what == "points"), "{:?}", record.story(key));
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well"), WorkerExit::Preempted);
    reins.let_go();
}

#[tokio::test]
async fn a_worker_whose_grace_is_over_goes_without_a_checkpoint() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let worker = Worker::start(WorkerOptions { grace: Duration::from_millis(50), ..bench.options() }, trainer);
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    reins.hold_at(300);
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    reins.arrives_at(300).await;
    worker.leave(Leave::Preempted).await;
    while session.next().await.is_some_and(|message| !matches!(message.body, Some(Up::Goodbye(_)))) {}
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well"), WorkerExit::Preempted);
    reins.let_go();
}

#[tokio::test]
async fn a_worker_whose_parent_is_gone_does_not_wait_for_a_coordinator_that_is_gone_too() {
    let mut bench = Bench::new();
    let (worker, reins) = bench.worker();
    let (session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    reins.hold_at(300);
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    reins.arrives_at(300).await;
    worker.leave(Leave::ParentGone).await;
    bench.coordinator.kill();
    assert_eq!(worker.end().await.expect("it ends well"), WorkerExit::Done);
    reins.let_go();
}

#[tokio::test]
async fn whatever_an_attempt_fails_of_the_worker_goes_on() {
    let mut bench = Bench::new();
    let (trainer, _) = PaperTrainer::new();
    let fated = trainer.with_fate("panics", Fate::PanicsAt(300)).with_fate("refuses", Fate::DoesNotStart);
    let _worker = Worker::start(bench.options(), fated);
    let (mut session, _) = bench.coordinator.accept().await;

    let mut record = Record::default();
    let panics = stage("panics", None, 600);
    let failed = fails(&mut session, attempt(&panics, 1), &panics, &mut record).await;
    assert_eq!((failed.reason.as_str(), failed.started), ("training panicked: a bug at step 300", true));
    assert_eq!(record.story(attempt(&panics, 1)), ["points", "failed"]);
    assert_completes(&mut session, &stage("next", None, 20)).await;

    let refuses = stage("refuses", None, 600);
    let failed = fails(&mut session, attempt(&refuses, 1), &refuses, &mut record).await;
    assert_eq!((failed.reason.as_str(), failed.started), ("no such device", false));

    // A stage of another version of the vocabulary: its key is not what it would be here.
    let mut other = stage("other", None, 20);
    other.spec.peak_lr *= 2.0;
    let failed = fails(&mut session, attempt(&other, 1), &other, &mut record).await;
    assert!(!failed.started && failed.reason.contains("another version"), "{failed:?}");

    // The coordinator has seen the dataset in its storage, so this is not the stage's fault.
    fs::remove_dir_all(bench.storage().join(proto::layout::dataset_path(&vocabulary::sample::dataset().id)))
        .expect("it is there");
    let next = stage("after next", None, 20);
    session.assign(attempt(&next, 1), &next, None).await;
    match session.hear_the_end_of(attempt(&next, 1), &mut record).await {
        Up::StorageFailed(failed) => assert!(failed.reason.contains("is not in the storage"), "{failed:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_loss_that_is_no_number_ends_the_stage_as_diverged() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let _worker = Worker::start(bench.options(), trainer.with_fate("diverges", Fate::DivergesAt(300)));
    let (mut session, _) = bench.coordinator.accept().await;
    let diverges = stage("diverges", None, 600);
    let key = attempt(&diverges, 1);
    let mut record = Record::default();
    session.assign(key, &diverges, None).await;
    let end = session.hear_the_end_of(key, &mut record).await;
    let Up::StageDiverged(diverged) = end else { panic!("{end:?}") };
    assert!(diverged.step == 300 && diverged.loss.is_nan(), "{diverged:?}");
    let curve = record.curve(key);
    assert!(curve.len() == 301 && curve[300].1.is_nan(), "the step that diverged is on the curve");
    assert_eq!(record.story(key), ["points", "diverged"]);
    assert_eq!(reins.at(), 300, "and is the last");
    assert_completes(&mut session, &stage("next", None, 20)).await;
}

async fn fails(session: &mut Session, key: AttemptKey, stage: &Stage, record: &mut Record) -> proto::v1::AttemptFailed {
    session.assign(key, stage, None).await;
    match session.hear_the_end_of(key, record).await {
        Up::AttemptFailed(failed) => failed,
        other => panic!("no failure of {key}: {other:?}"),
    }
}

/// The slot is free, and the worker as good as before.
async fn assert_completes(session: &mut Session, stage: &Stage) {
    let (key, mut record) = (attempt(stage, 1), Record::default());
    session.assign(key, stage, None).await;
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
}

#[tokio::test]
async fn a_loss_above_the_limit_of_its_stage_ends_it_as_diverged_at_that_step() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let _worker = Worker::start(bench.options(), trainer.with_fate("runs away", Fate::RunsAwayAt(30)));
    let (mut session, _) = bench.coordinator.accept().await;
    let limitless = stage("runs away", None, 60);
    assert_completes(&mut session, &limitless).await;

    let spec = vocabulary::StageSpec { loss_limit: Some(98.0), ..limitless.spec.clone() };
    let limited = vocabulary::Stage { key: spec.key(None), spec, ..limitless };
    let key = attempt(&limited, 1);
    let mut record = Record::default();
    session.assign(key, &limited, None).await;
    let Up::StageDiverged(diverged) = session.hear_the_end_of(key, &mut record).await else { panic!("it diverges") };
    assert_eq!((diverged.step, diverged.loss), (30, 99.0));
    assert_eq!(record.curve(key).len(), 31, "the step that diverged is on the curve");
    assert_eq!(reins.at(), 30, "and is the last");
}
