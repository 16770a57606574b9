//! Stages from their assignment to their completion, and where they start from.

use std::fs;

use proto::v1::worker_message::Body as Up;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measured, Measurements};
use worker::{Leave, WorkerExit};

use crate::bench::{Bench, Worker};
use crate::record::{Record, read_checkpoint};
use crate::support::{attempt, stage};
use crate::trainer::{Fate, OPTIMIZER, PaperTrainer, WEIGHTS, loss_at, rows, weights_after};

#[tokio::test]
async fn a_stage_leaves_its_curve_its_checkpoint_and_its_result() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!((hello.name.as_str(), hello.device.as_str()), ("w", "paper"));
    assert_eq!((hello.running, hello.holds), (vec![], vec![]));

    let trunk = stage("trunk", None, 600);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    session.assign(key, &trunk, None).await;
    let Up::StageCompleted(completed) = session.hear_the_end_of(key, &mut record).await else {
        panic!("it is completed")
    };
    let Measured { measurements: result, rows: behind } =
        Measured::try_from(completed.result.expect("it was measured")).expect("it is sound");
    assert_eq!(behind, rows(loss_at(600)), "the documents come with the loss");
    let measured = Measurements::new().with(VALIDATION_LOSS, loss_at(600));
    assert_eq!(result, measured.with(VALIDATION_LOSS_PER_BYTE, loss_at(600) / 3.0));
    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
    assert_eq!(record.curve(key), (0..600).map(|step| (step, loss_at(step))).collect::<Vec<_>>());

    let [checkpoint] = record.checkpoints(key).try_into().expect("there is one checkpoint");
    assert_eq!(checkpoint.step, 600);
    assert_eq!(checkpoint.manifest_path, proto::layout::manifest_path(key, 600));
    assert_eq!(read_checkpoint(&bench.storage(), &checkpoint, WEIGHTS), weights_after(0..600, None));
    assert_eq!(read_checkpoint(&bench.storage(), &checkpoint, OPTIMIZER), b"moments after 600 steps");

    worker.leave(Leave::ParentGone).await;
    let goodbye = session.next().await.and_then(|message| message.body);
    assert!(matches!(goodbye, Some(Up::Goodbye(goodbye)) if goodbye.in_order));
    assert!(session.next().await.is_none());
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well"), WorkerExit::Done);
}

#[tokio::test]
async fn checkpoints_on_the_way_are_committed_in_order_between_the_points() {
    let mut bench = Bench::new();
    let (trainer, _) = PaperTrainer::new();
    // Another is taken as soon as the one before it is stored.
    let options = worker::WorkerOptions { checkpoint_interval: Some(std::time::Duration::ZERO), ..bench.options() };
    let _worker = Worker::start(options, trainer);
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 400);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    session.assign(key, &trunk, None).await;
    session.hear_the_end_of(key, &mut record).await;

    assert_eq!(record.curve(key), (0..400).map(|step| (step, loss_at(step))).collect::<Vec<_>>());
    let checkpoints = record.checkpoints(key);
    let steps: Vec<_> = checkpoints.iter().map(|checkpoint| checkpoint.step).collect();
    assert!(steps.len() >= 2 && steps.is_sorted(), "{steps:?}");
    assert_eq!((steps[0], steps[steps.len() - 1]), (1, 400));
    for checkpoint in checkpoints {
        let weights = read_checkpoint(&bench.storage(), &checkpoint, WEIGHTS);
        assert_eq!(weights, weights_after(0..checkpoint.step, None), "after {} steps", checkpoint.step);
    }
}

#[tokio::test]
async fn a_child_starts_from_its_parents_checkpoint_at_hand_and_another_process_from_the_storage() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 300);
    let branch = stage("branch", Some(&trunk), 320);
    let mut record = Record::default();
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    session.hear_the_end_of(attempt(&trunk, 1), &mut record).await;
    let [start] = record.checkpoints(attempt(&trunk, 1)).try_into().expect("there is one checkpoint");

    // Nothing is read: what would be is not there.
    let folder = bench.storage().join(&start.manifest_path).parent().expect("a folder").to_owned();
    let aside = bench.storage().join("aside");
    fs::rename(&folder, &aside).expect("it is moved");
    session.assign(attempt(&branch, 1), &branch, Some(start.clone())).await;
    let end = session.hear_the_end_of(attempt(&branch, 1), &mut record).await;
    assert!(matches!(end, Up::StageCompleted(_)), "{end:?}");
    drop(session);
    let (session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.holds, [trunk.key.to_string(), branch.key.to_string()]);
    drop(session);
    worker.kill().await;

    fs::rename(&aside, &folder).expect("it is moved back");
    let _worker = bench.worker();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.holds.len(), 0);
    session.assign(attempt(&branch, 2), &branch, Some(start.clone())).await;
    let end = session.hear_the_end_of(attempt(&branch, 2), &mut Record::default()).await;
    assert!(matches!(end, Up::StageCompleted(_)), "{end:?}");
    for number in [1, 2] {
        let manifest_path = proto::layout::manifest_path(attempt(&branch, number), 320);
        let weights = bench.storage().join(manifest_path).with_file_name(WEIGHTS);
        assert_eq!(fs::read(weights).expect("it is there"), weights_after(0..320, None), "of attempt {number}");
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_is_not_started_from() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 20);
    let branch = stage("branch", Some(&trunk), 30);
    let mut record = Record::default();
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    session.hear_the_end_of(attempt(&trunk, 1), &mut record).await;
    let [start] = record.checkpoints(attempt(&trunk, 1)).try_into().expect("there is one checkpoint");
    worker.kill().await;

    let weights = bench.storage().join(&start.manifest_path).with_file_name(WEIGHTS);
    fs::write(weights, b"others").expect("it is written");
    let _worker = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    session.assign(attempt(&branch, 1), &branch, Some(start.clone())).await;
    let end = session.hear_the_end_of(attempt(&branch, 1), &mut Record::default()).await;
    let Up::StartUnusable(unusable) = end else { panic!("{end:?}") };
    assert_eq!(unusable.checkpoint, Some(start));
    assert!(unusable.reason.contains("damaged"), "{unusable:?}");
}

#[tokio::test]
async fn a_stage_of_which_only_the_result_was_lost_is_only_measured() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 20);
    let mut record = Record::default();
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    session.hear_the_end_of(attempt(&trunk, 1), &mut record).await;
    let [own] = record.checkpoints(attempt(&trunk, 1)).try_into().expect("there is one checkpoint");

    reins.hold_at(0); // It is not to train again.
    session.assign(attempt(&trunk, 2), &trunk, Some(own)).await;
    session.hear_the_end_of(attempt(&trunk, 2), &mut record).await;
    assert_eq!(record.story(attempt(&trunk, 2)), ["completed"]);
}

#[tokio::test]
async fn a_stage_without_its_last_checkpoint_has_failed() {
    let mut bench = Bench::new();
    let (trainer, _) = PaperTrainer::new();
    let _worker = Worker::start(bench.options(), trainer.with_fate("trunk", Fate::LosesItsCheckpoints));
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 20);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    session.assign(key, &trunk, None).await;
    let end = session.hear_the_end_of(key, &mut record).await;
    let Up::AttemptFailed(failed) = end else { panic!("{end:?}") };
    assert!(failed.started && failed.reason.contains("the device is gone"), "{failed:?}");
    assert_eq!(record.story(key), ["points", "failed"]);
}

#[tokio::test]
async fn a_panic_on_the_way_to_a_checkpoint_ends_the_attempt_and_not_the_worker() {
    let mut bench = Bench::new();
    let (trainer, _) = PaperTrainer::new();
    let _worker = Worker::start(bench.options(), trainer.with_fate("trunk", Fate::PanicsInItsCheckpoints));
    let (mut session, _) = bench.coordinator.accept().await;
    let (trunk, other) = (stage("trunk", None, 20), stage("other", None, 10));
    let mut record = Record::default();
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    let end = session.hear_the_end_of(attempt(&trunk, 1), &mut record).await;
    let Up::AttemptFailed(failed) = end else { panic!("{end:?}") };
    assert!(failed.started && failed.reason.contains("a bug beside the training"), "{failed:?}");
    session.assign(attempt(&other, 1), &other, None).await;
    session.hear_the_end_of(attempt(&other, 1), &mut record).await;
    assert_eq!(record.story(attempt(&other, 1)), ["points", "checkpoint", "completed"]);
}
