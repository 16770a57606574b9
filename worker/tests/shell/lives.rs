//! Processes that die, and those that come after them under the same name, or the same identity.

use std::time::Duration;

use proto::v1::worker_message::Body as Up;
use tonic::Status;
use vocabulary::{Stage, WorkerId};
use worker::{AttemptKey, ExitCode, Leave, WorkerError, WorkerOptions};

use crate::bench::{Bench, Worker};
use crate::record::{Record, kind};
use crate::support::{attempt, stage};
use crate::trainer::PaperTrainer;

/// A worker that is the same to the coordinator at each start.
fn same(bench: &Bench) -> WorkerOptions {
    WorkerOptions { worker_id: Some(WorkerId::from_content(b"the same")), ..bench.options() }
}

#[tokio::test]
async fn a_process_of_the_same_identity_says_first_what_the_last_one_could_not() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let worker = Worker::start(same(&bench), trainer);
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 1000);
    let (done, key) = (attempt(&stage("done", None, 20), 1), attempt(&trunk, 1));
    let mut record = Record::default();
    // One stage is over, and of the other there are points; nobody acknowledges any of it.
    session.assign(done, &stage("done", None, 20), None).await;
    while record.story(done).last() != Some(&"completed") {
        session.hear(&mut record).await;
    }
    reins.hold_at(600);
    session.assign(key, &trunk, None).await;
    for _ in ["points", "points"] {
        session.hear(&mut record).await;
    }
    reins.arrives_at(600).await;
    worker.kill().await;
    drop(session);

    let (trainer, _) = PaperTrainer::new();
    let _worker = Worker::start(same(&bench), trainer);
    let (mut session, hello) = bench.coordinator.accept().await;
    let mut running = [done.into(), key.into()];
    running.sort_by_key(|attempt: &proto::v1::AttemptRef| attempt.stage.clone());
    assert_eq!(hello.running, running);
    let before = record.reports.len();
    for number in 1..=before as u64 {
        assert_eq!(session.hear(&mut record).await.sequence, number);
    }
    assert_eq!(record.reports.len(), before, "it is the same again");
    // What was in training ended with the process.
    let end = session.hear_the_end_of(key, &mut record).await;
    assert!(matches!(end, Up::AttemptFailed(failed) if failed.started));
    assert_eq!(record.story(done), ["points", "checkpoint", "completed"]);
    assert_eq!(record.story(key), ["points", "failed"]);

    let again = attempt(&trunk, 2);
    session.assign(again, &trunk, None).await;
    session.hear_the_end_of(again, &mut record).await;
    assert_eq!(record.story(again), ["points", "checkpoint", "completed"]);
    assert_eq!(record.curve(again).len(), 1000);
}

/// The coordinator takes each number once: one that is given twice in the lives of an identity is a report that is lost.
#[tokio::test]
async fn no_life_of_an_identity_gives_a_number_of_an_earlier_one() {
    let mut bench = Bench::new();
    let trunk = stage("trunk", None, 20);
    let mut record = Record::default();
    train_once(&mut bench, attempt(&trunk, 1), &trunk, &mut record).await;

    // One that only hears that all is known, and leaves nothing behind.
    let (trainer, _) = PaperTrainer::new();
    let worker = Worker::start(same(&bench), trainer);
    let (mut session, _) = bench.coordinator.greet().await;
    session.say(bench.coordinator.welcome(Duration::from_millis(1))).await;
    session.acknowledge(record.position()).await;
    let is_done = |body| matches!(body, Up::Heartbeat(heartbeat) if heartbeat.running.is_empty());
    while !is_done(session.next().await.and_then(|message| message.body).expect("it says something")) {}
    worker.kill().await;
    drop(session);

    for number in [2, 3] {
        train_once(&mut bench, attempt(&trunk, number), &trunk, &mut record).await;
    }
}

/// The life of a worker that trains a stage, all of which is acknowledged. The coordinator knows the worker.
async fn train_once(bench: &mut Bench, key: AttemptKey, stage: &Stage, record: &mut Record) {
    let (trainer, _) = PaperTrainer::new();
    let worker = Worker::start(same(bench), trainer);
    let (mut session, _) = bench.coordinator.accept().await;
    session.acknowledge(record.position()).await;
    session.assign(key, stage, None).await;
    session.hear_the_end_of(key, record).await;
    assert_eq!(record.story(key), ["points", "checkpoint", "completed"]);
    worker.leave(Leave::ParentGone).await;
    while session.next().await.is_some() {}
    drop(session);
    worker.end().await.expect("it ends well");
}

#[tokio::test]
async fn what_a_killed_process_had_on_its_disk_its_successor_says_for_it() {
    let mut bench = Bench::new();
    let (worker, reins) = bench.worker();
    let (mut session, first) = bench.coordinator.accept().await;
    let (done, trunk) = (stage("done", None, 20), stage("trunk", None, 1000));
    let (ended, open) = (attempt(&done, 1), attempt(&trunk, 1));
    let mut record = Record::default();
    // One stage is over, and of the other there are points; nobody acknowledges any of it.
    session.assign(ended, &done, None).await;
    while record.story(ended).last() != Some(&"completed") {
        session.hear(&mut record).await;
    }
    reins.hold_at(600);
    session.assign(open, &trunk, None).await;
    for _ in ["points", "points"] {
        session.hear(&mut record).await;
    }
    reins.arrives_at(600).await;
    worker.kill().await;
    drop(session);
    let said = record.reports.len();

    // A successor begins to say it, and is killed as well.
    let (worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept_any().await;
    assert_eq!((&hello.worker, hello.ended, hello.connection), (&first.worker, true, u64::MAX));
    assert_eq!((&hello.secret, hello.secret.len()), (&first.secret, 64), "only who has the folder knows it");
    session.hear(&mut record).await;
    worker.kill().await;
    drop(session);

    let (_worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept_any().await;
    assert_eq!((&hello.worker, hello.ended), (&first.worker, true));
    let mut running = [ended.into(), open.into()];
    running.sort_by_key(|attempt: &proto::v1::AttemptRef| attempt.stage.clone());
    assert_eq!(hello.running, running);
    for number in 1..=said as u64 {
        assert_eq!(session.hear(&mut record).await.sequence, number);
    }
    assert_eq!(record.reports.len(), said, "it is the same again");
    // An order that the process never had is handed back, under a number that it never gave.
    let other = stage("other", None, 20);
    session.assign(attempt(&other, 1), &other, None).await;
    assert_eq!(kind(&session.hear_the_end_of(attempt(&other, 1), &mut record).await), "released");
    let goodbye = session.next().await.and_then(|message| message.body);
    let is_of_ended = matches!(&goodbye, Some(Up::Goodbye(goodbye)) if !goodbye.in_order);
    assert!(is_of_ended, "with it everything is said: {goodbye:?}");
    assert!(session.next().await.is_none());
    drop(session);
    assert_eq!(record.story(ended), ["points", "checkpoint", "completed"]);
    assert_eq!(record.story(open), ["points"]);

    // Now it speaks for itself, and its predecessors are gone.
    let (mut session, hello) = bench.coordinator.accept().await;
    assert!(!hello.ended && hello.worker != first.worker && hello.running.is_empty(), "{hello:?}");
    assert_eq!((hello.predecessors.len(), &hello.predecessors[0]), (2, &first.worker));
    let (key, mut record) = (attempt(&trunk, 2), Record::default());
    session.assign(key, &trunk, None).await;
    session.hear_the_end_of(key, &mut record).await;
    assert_eq!(record.curve(key).len(), 1000);
}

#[tokio::test]
async fn what_was_left_stays_on_the_disk_until_a_coordinator_takes_it() {
    let mut bench = Bench::new();
    let (worker, _) = bench.worker();
    let (mut session, first) = bench.coordinator.accept().await;
    let (done, mut record) = (stage("done", None, 20), Record::default());
    session.assign(attempt(&done, 1), &done, None).await;
    while record.story(attempt(&done, 1)).last() != Some(&"completed") {
        session.hear(&mut record).await;
    }
    worker.kill().await;
    drop(session);
    // As if its token had spoken for another worker: the worker can work, but not speak for the one before.
    let (worker, _) = bench.worker();
    let (session, hello) = bench.coordinator.greet().await;
    assert_eq!(hello.worker, first.worker);
    session.turn_away(Status::permission_denied("of another token")).await;
    let (mut session, hello) = bench.coordinator.accept().await;
    assert!(!hello.ended && hello.worker != first.worker);
    worker.leave(Leave::Preempted).await;
    while session.next().await.is_some() {}
    drop(session);
    worker.end().await.expect("it ends well");

    let (_worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept_any().await;
    assert_eq!((hello.worker, hello.ended), (first.worker, true));
    session.hear_the_end_of(attempt(&done, 1), &mut record).await;
}

#[tokio::test]
async fn a_name_is_had_by_one_worker_at_a_time() {
    let mut bench = Bench::new();
    let (first, _) = bench.worker();
    let (session, _) = bench.coordinator.accept().await;
    let (second, _) = bench.worker();
    let error = second.end().await.expect_err("the name is taken");
    assert!(matches!(&error, WorkerError::NameTaken { name, .. } if name == "w"), "{error:?}");
    assert_eq!(error.exit_code(), ExitCode::Failed);

    // Others are welcome beside it, and so is one of this name when it is gone.
    let (trainer, _) = PaperTrainer::new();
    let _other = Worker::start(WorkerOptions { name: Some("v".to_owned()), ..bench.options() }, trainer);
    let (_other_session, hello) = bench.coordinator.accept().await;
    assert_eq!(hello.name, "v");
    first.kill().await;
    drop(session);
    let (_third, _) = bench.worker();
    assert_eq!(bench.coordinator.accept().await.1.name, "w");
}

/// The time in milliseconds since 1970, so much from now.
fn unix_ms_in(left: Duration) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    u64::try_from((now + left).as_millis()).expect("before the end of time")
}

#[tokio::test]
async fn a_worker_without_time_for_another_stage_leaves_by_itself() {
    let mut bench = Bench::new();
    let (trainer, _) = PaperTrainer::new();
    // Handing back, the margin and a start that was not measured yet take 55 s.
    let place = vocabulary::Place { until_ms: Some(unix_ms_in(Duration::from_secs(56))), ..Default::default() };
    let worker = Worker::start(WorkerOptions { place, ..bench.options() }, trainer);
    let (mut session, hello) = bench.coordinator.accept().await;
    assert!(hello.place.is_some_and(|place| place.until_unix_ms.is_some()));
    while session.next().await.is_some_and(|message| !matches!(message.body, Some(Up::Goodbye(_)))) {}
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well").exit_code(), ExitCode::Preempted);
}

#[tokio::test]
async fn a_worker_that_is_given_nothing_ends_well_and_one_that_trains_does_not() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let idle_timeout = Some(Duration::from_secs(2));
    let worker = Worker::start(WorkerOptions { idle_timeout, ..bench.options() }, trainer);
    let (mut session, _) = bench.coordinator.accept().await;
    let trunk = stage("trunk", None, 600);
    let mut record = Record::default();
    reins.hold_at(300);
    session.assign(attempt(&trunk, 1), &trunk, None).await;
    reins.arrives_at(300).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    reins.let_go();
    session.hear_the_end_of(attempt(&trunk, 1), &mut record).await;
    assert_eq!(
        record.story(attempt(&trunk, 1)).last(),
        Some(&"completed"),
        "it stayed as long as it had something to do"
    );
    session.acknowledge(record.position()).await;
    while session.next().await.is_some_and(|message| !matches!(message.body, Some(Up::Goodbye(_)))) {}
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well").exit_code(), ExitCode::Done);
}

#[tokio::test]
async fn a_worker_that_never_reaches_its_coordinator_ends_as_if_it_were_given_nothing() {
    let bench = Bench::new();
    let (trainer, _reins) = PaperTrainer::new();
    let idle_timeout = Some(Duration::from_millis(300));
    // Nobody listens on a port that is reserved.
    let coordinator_url = "http://127.0.0.1:1".to_owned();
    let worker = Worker::start(WorkerOptions { idle_timeout, coordinator_url, ..bench.options() }, trainer);
    assert_eq!(worker.end().await.expect("it ends well").exit_code(), ExitCode::Done);
}

#[tokio::test]
async fn a_worker_that_was_told_ahead_of_time_has_only_its_grace_once_it_has_to_go() {
    let mut bench = Bench::new();
    let (trainer, reins) = PaperTrainer::new();
    let place = vocabulary::Place { until_ms: Some(unix_ms_in(Duration::from_secs(3600))), ..Default::default() };
    let grace = Duration::from_millis(50);
    let worker = Worker::start(WorkerOptions { place, grace, ..bench.options() }, trainer);
    let (mut session, _) = bench.coordinator.accept().await;
    let (trunk, key) = (stage("trunk", None, 600), attempt(&stage("trunk", None, 600), 1));
    reins.hold_at(300);
    session.assign(key, &trunk, None).await;
    reins.arrives_at(300).await;
    worker.leave(Leave::Warned).await;
    // Ten times its grace: it would be gone.
    tokio::time::sleep(Duration::from_millis(500)).await;
    worker.leave(Leave::Preempted).await;
    let mut record = Record::default();
    while let Some(message) = session.next().await.filter(|message| !matches!(message.body, Some(Up::Goodbye(_)))) {
        if message.sequence > 0 {
            record.take(message);
        }
    }
    assert!(record.story(key).iter().all(|what| *what == "points"), "{:?}", record.story(key));
    drop(session);
    assert_eq!(worker.end().await.expect("it ends well").exit_code(), ExitCode::Preempted);
    reins.let_go();
}
