//! Evaluations from their assignment to their result.

use std::fs;

use proto::v1::CheckpointRef;
use proto::v1::worker_message::Body as Up;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Attempt, Evaluation, EvaluationKind, EvaluationSpec, EvaluationTask, Measurements, Stage, sample};
use worker::AttemptKey;

use crate::bench::{Bench, Worker};
use crate::coordinator::Session;
use crate::record::Record;
use crate::support::{attempt, stage};
use crate::trainer::{Fate, PaperTrainer, loss_at};

/// The evaluation of a stage on the bench's text, and a first attempt at it.
fn evaluation(of: &Stage) -> (Evaluation, AttemptKey) {
    let dataset = sample::dataset().id;
    let spec = EvaluationSpec {
        task: EvaluationTask { kind: EvaluationKind::HeldOutLoss, dataset, tokens: 512, context: 64 },
        ..sample::evaluation()
    };
    let (key, parent, size) = (spec.key(&of.key), of.key, of.size.clone());
    let evaluation = Evaluation { key, parent, spec, name: "news".to_owned(), size, seed: 0 };
    (evaluation, AttemptKey { stage: key, attempt: Attempt(1) })
}

/// Trains a stage, and returns its last checkpoint.
async fn train(session: &mut Session, stage: &Stage) -> CheckpointRef {
    let mut record = Record::default();
    session.assign(attempt(stage, 1), stage, None).await;
    session.hear_the_end_of(attempt(stage, 1), &mut record).await;
    let [checkpoint] = record.checkpoints(attempt(stage, 1)).try_into().expect("there is one checkpoint");
    checkpoint
}

#[tokio::test]
async fn an_evaluation_starts_from_the_checkpoint_and_leaves_its_result_alone() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.work, ["train", "evaluate"]);
    let trunk = stage("trunk", None, 20);
    let checkpoint = train(&mut session, &trunk).await;
    let (evaluation, key) = evaluation(&trunk);

    // From memory, and then by another process from the storage.
    let mut record = Record::default();
    session.assign_evaluation(key, &evaluation, Some(checkpoint.clone())).await;
    let Up::StageCompleted(completed) = session.hear_the_end_of(key, &mut record).await else {
        panic!("it is completed")
    };
    let result = Measurements::try_from(completed.result.expect("it was measured")).expect("it is sound");
    assert_eq!(result.get(VALIDATION_LOSS), Some(loss_at(20)));
    assert_eq!(record.story(key), ["completed"]);
    drop(session);
    worker.kill().await;
    let _worker = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let key = AttemptKey { attempt: Attempt(2), ..key };
    session.assign_evaluation(key, &evaluation, Some(checkpoint)).await;
    let end = session.hear_the_end_of(key, &mut record).await;
    assert!(matches!(end, Up::StageCompleted(_)), "{end:?}");
}

#[tokio::test]
async fn an_evaluation_stops_when_it_is_taken_back() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 20);
    let checkpoint = train(&mut session, &trunk).await;
    let (evaluation, key) = evaluation(&trunk);
    reins.hold_at(21);
    session.assign_evaluation(key, &evaluation, Some(checkpoint)).await;
    reins.arrives_at(21).await;
    session.revoke(key).await;
    // An attempt that it does not have is confirmed at once: then it knows of both revocations.
    let unknown = attempt(&trunk, 7);
    session.revoke(unknown).await;
    session.hear_the_end_of(unknown, &mut Record::default()).await;
    reins.let_go();
    let end = session.hear_the_end_of(key, &mut Record::default()).await;
    assert!(matches!(end, Up::RevocationConfirmed(_)), "{end:?}");
}

#[tokio::test]
async fn a_damaged_checkpoint_is_not_evaluated() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 20);
    let checkpoint = train(&mut session, &trunk).await;
    worker.kill().await;
    fs::write(bench.storage().join(&checkpoint.manifest_path).with_file_name("weights.safetensors"), b"others")
        .expect("it is written");
    let _worker = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let (evaluation, key) = evaluation(&trunk);
    session.assign_evaluation(key, &evaluation, Some(checkpoint.clone())).await;
    let end = session.hear_the_end_of(key, &mut Record::default()).await;
    let Up::StartUnusable(unusable) = end else { panic!("{end:?}") };
    assert_eq!(unusable.checkpoint, Some(checkpoint));
}

#[tokio::test]
async fn an_evaluation_that_cannot_be_loaded_was_not_started() {
    let mut bench = Bench::new();
    let (trunk, odd) = (stage("trunk", None, 20), stage("odd", None, 20));
    let (trainer, _) = PaperTrainer::new();
    let _worker = Worker::start(bench.options(), trainer.with_fate("odd", Fate::DoesNotStart));
    let (mut session, _) = bench.coordinator.accept().await;
    let checkpoint = train(&mut session, &trunk).await;
    let (evaluation, key) = evaluation(&trunk);
    let evaluation = Evaluation { size: odd.size, ..evaluation };
    session.assign_evaluation(key, &evaluation, Some(checkpoint)).await;
    let end = session.hear_the_end_of(key, &mut Record::default()).await;
    let Up::AttemptFailed(failed) = end else { panic!("{end:?}") };
    assert_eq!((failed.started, failed.reason.as_str()), (false, "no such device"));
}

#[tokio::test]
async fn an_evaluation_that_cannot_be_what_it_says_is_refused_with_a_reason() {
    let mut bench = Bench::new();
    let (_worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 20);
    let (evaluation, key) = evaluation(&trunk);
    let (other, _) = self::evaluation(&stage("other", None, 20));
    let mut reason = async |evaluation: &Evaluation| {
        session.assign_evaluation(key, evaluation, None).await;
        let end = session.hear_the_end_of(key, &mut Record::default()).await;
        let Up::AttemptFailed(failed) = end else { panic!("{end:?}") };
        failed.reason
    };
    let altered = Evaluation { key: key.stage, ..other.clone() };
    assert!(reason(&altered).await.contains("is the other side another version"));
    assert!(reason(&other).await.contains("and the assignment is of"));
    assert!(reason(&evaluation).await.contains("without a checkpoint to evaluate"));
}
