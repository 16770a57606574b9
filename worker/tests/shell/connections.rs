//! Connections that break, and coordinators that are away.

use std::error::Error;
use std::time::Duration;

use proto::v1;
use proto::v1::coordinator_message::Body as Down;
use proto::v1::worker_message::Body as Up;
use tonic::Status;
use worker::{ExitCode, StallLimits, WorkerError, WorkerOptions};

use crate::bench::{Bench, Worker};
use crate::record::{Record, read_checkpoint};
use crate::support::{attempt, attempt_of, stage};
use crate::trainer::{PaperTrainer, WEIGHTS, loss_at, weights_after};

#[tokio::test]
async fn training_goes_on_while_the_coordinator_is_away_and_nothing_is_missing_or_doubled() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 1500);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    reins.hold_at(600);
    session.assign(key, &trunk, None).await;
    // Of two reports it hears and takes in both, and gets to acknowledge the first.
    session.hear(&mut record).await;
    session.acknowledge(1).await;
    session.hear(&mut record).await;
    reins.arrives_at(600).await;

    bench.coordinator.kill();
    drop(session);
    reins.hold_at(1200);
    reins.arrives_at(1200).await;
    assert!(record.curve(key).len() <= 600, "nobody heard of what was trained since");

    bench.coordinator.restart();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.running, [key.into()]);
    // What was taken in without an acknowledgement comes again, under its number. So may what was acknowledged, where that
    // was lost with the connection.
    let again = session.hear(&mut record).await;
    assert!(again.sequence <= 2, "{again:?}");
    reins.let_go();
    let end = session.hear_the_end_of(key, &mut record).await;
    assert!(matches!(end, Up::StageCompleted(_)), "{end:?}");

    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
    assert_eq!(record.curve(key), (0..1500).map(|step| (step, loss_at(step))).collect::<Vec<_>>());
    let numbers: Vec<_> = record.reports.iter().map(|message| message.sequence).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let [checkpoint] = record.checkpoints(key).try_into().expect("there is one checkpoint");
    assert_eq!(read_checkpoint(&bench.storage(), &checkpoint, WEIGHTS), weights_after(0..1500, None));
}

#[tokio::test]
async fn a_stage_that_ends_while_the_coordinator_is_away_is_completed_when_it_is_back() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    let key = attempt(&trunk, 1);
    reins.hold_at(1);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(1).await;
    bench.coordinator.kill();
    drop(session);
    reins.let_go();
    reins.arrives_at(600).await;

    bench.coordinator.restart();
    let mut record = Record::default();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.running, [key.into()]);
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
    assert_eq!(record.curve(key).len(), 600);
}

#[tokio::test]
async fn a_worker_does_not_work_for_a_coordinator_that_speaks_another_protocol() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (session, hello) = bench.coordinator.greet().await;
    assert_eq!(hello.protocol, proto::PROTOCOL);
    let Down::Welcome(welcome) = bench.coordinator.welcome(Duration::from_secs(1)) else { panic!("it is a welcome") };
    // As one from before there were protocols says it.
    session.say(Down::Welcome(v1::Welcome { protocol: 0, version: String::new(), ..welcome })).await;
    let error = worker.end().await.expect_err("it cannot work");
    assert_eq!(error.exit_code(), ExitCode::BadConfiguration);
    assert_eq!(
        error.source().expect("it says why").to_string(),
        format!(
            "the coordinator is windtunnel of an older version with protocol 0, and this worker is windtunnel {} with \
             protocol {}: run the same version of windtunnel on both",
            env!("CARGO_PKG_VERSION"),
            proto::PROTOCOL
        )
    );
}

#[tokio::test]
async fn what_was_acknowledged_is_not_said_again_and_all_else_is_however_often_the_connection_breaks() {
    let mut bench = Bench::new();
    let (_worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 1500);
    let key = attempt(&trunk, 1);
    let mut record = Record::default();
    session.assign(key, &trunk, None).await;
    for number in 1..=6 {
        assert_eq!(session.hear(&mut record).await.sequence, number);
        session.acknowledge(number).await;
        // What it confirms now shows that it has read the acknowledgement.
        let unknown = attempt(&trunk, 100 + number as u32);
        session.revoke(unknown).await;
        while attempt_of(session.hear(&mut record).await.body.as_ref().expect("it says something")) != unknown {}
        drop(session);
        session = bench.coordinator.accept().await.0;
    }
    if !record.story(key).contains(&"completed") {
        session.hear_the_end_of(key, &mut record).await;
    }
    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
    assert_eq!(record.curve(key), (0..1500).map(|step| (step, loss_at(step))).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_coordinator_for_long_it_ends_as_unreachable() {
    let mut bench = Bench::new();
    bench.coordinator.kill();
    let (trainer, _) = PaperTrainer::new();
    let options = WorkerOptions { give_up_after: Some(Duration::from_millis(1)), ..bench.options() };
    let error = Worker::start(options, trainer).end().await.expect_err("nobody is there");
    assert!(matches!(error, WorkerError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Unreachable);
}

#[tokio::test]
async fn a_worker_that_gives_up_leaves_a_checkpoint_on_its_disk_even_if_that_was_full_of_points() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    // So little that training waits for a coordinator long before.
    let outbox_bytes = 1 << 14;
    let options = WorkerOptions { give_up_after: Some(Duration::from_secs(3)), outbox_bytes, ..bench.options() };
    let worker = Worker::start(options, trainer);
    let (session, first) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 1_000_000_000);
    let key = attempt(&trunk, 1);
    reins.hold_at(10);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(10).await;
    bench.coordinator.kill();
    reins.let_go();
    let error = worker.end().await.expect_err("nobody is there");
    assert!(matches!(error, WorkerError::Unreachable { source: Some(_), .. }), "{error:?}");
    drop(session);

    bench.coordinator.restart();
    let (_worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept_any().await;
    assert_eq!((hello.worker, hello.ended, hello.running), (first.worker, true, vec![key.into()]));
    let mut record = Record::default();
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.story(key), ["points", "checkpoint", "released"]);
    let [checkpoint] = record.checkpoints(key).try_into().expect("there is one checkpoint");
    assert_eq!(checkpoint.step, record.curve(key).len() as u64, "nothing that was trained is lost");
    let weights = weights_after(0..checkpoint.step, None);
    assert_eq!(read_checkpoint(&bench.storage(), &checkpoint, WEIGHTS), weights);
}

/// Another service that has the coordinator's port meanwhile, a proxy that is set up wrongly, a token that has expired.
#[tokio::test]
async fn a_worker_that_was_welcome_once_is_not_ended_by_a_refusal() {
    let mut bench = Bench::new();
    let (_worker, reins) = bench.worker();
    let (session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    let key = attempt(&trunk, 1);
    reins.hold_at(10);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(10).await;
    drop(session);
    let refusals: [fn(&str) -> Status; 4] = [
        |why| Status::unimplemented(why),
        |why| Status::unauthenticated(why),
        |why| Status::permission_denied(why),
        |why| Status::invalid_argument(why),
    ];
    for refusal in refusals {
        let (session, hello) = bench.coordinator.greet().await;
        assert_eq!(hello.running, [key.into()]);
        session.turn_away(refusal("not you")).await;
    }
    let (mut session, _) = bench.coordinator.accept().await;
    reins.let_go();
    let mut record = Record::default();
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
}

#[tokio::test]
async fn a_training_that_hangs_ends_the_worker_and_its_attempt_is_handed_back() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let stall_limits = StallLimits { step: Duration::from_secs(1) };
    let worker = Worker::start(WorkerOptions { stall_limits, ..bench.options() }, trainer);
    let (session, _) = bench.coordinator.greet().await;
    session.say(bench.coordinator.welcome(Duration::from_millis(50))).await;
    let mut session = session;
    let trunk = stage("trunk", None, 600);
    let key = attempt(&trunk, 1);
    reins.hold_at(10);
    session.assign(key, &trunk, None).await;
    let (mut record, mut was_quiet) = (Record::default(), false);
    loop {
        let message = session.next().await.expect("it says goodbye");
        match message.body.as_ref().expect("it says something") {
            Up::Goodbye(_) => break,
            Up::Heartbeat(heartbeat) => {
                let quiet = heartbeat.progress.as_ref().filter(|progress| progress.phase == "no step");
                was_quiet |= quiet.is_some_and(|progress| progress.quiet_ms > 0);
            }
            _ => {
                session.acknowledge(message.sequence).await;
                record.take(message);
            }
        }
    }
    assert!(was_quiet, "it said so before");
    assert_eq!(record.story(key), ["released"], "it counts as handed back, whatever was in the thread is lost");
    drop(session);
    let error = worker.end().await.expect_err("it cannot work on");
    assert!(matches!(error, WorkerError::Stalled { .. }), "{error:?}");
    assert_eq!((error.exit_code(), reins.at()), (ExitCode::Failed, 10));
    reins.let_go();
}

#[tokio::test]
async fn a_coordinator_that_does_not_want_it_is_not_asked_again() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (session, _) = bench.coordinator.greet().await;
    session.turn_away(Status::invalid_argument("of another version")).await;
    let error = worker.end().await.expect_err("it is refused");
    assert!(matches!(error, WorkerError::Refused { .. }), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::BadConfiguration);
}

#[tokio::test]
async fn a_coordinator_that_only_cannot_take_it_now_is_asked_again() {
    let mut bench = Bench::new();
    let (_worker, _) = bench.worker();
    let (session, _) = bench.coordinator.greet().await;
    session.turn_away(Status::unavailable("not yet")).await;
    let (_session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.running, []);
}
