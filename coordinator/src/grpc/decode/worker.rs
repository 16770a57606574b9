//! What workers say. A malformed message ends the session: the other side runs another version, or is not a worker.

use std::collections::BTreeSet;
use std::time::Duration;

use proto::ConvertError;
use proto::convert::{Problem, attempt, attempts, id, ids, name};
use proto::limits::{MAX_CURVE_POINTS, MAX_LISTED, MAX_NAME_BYTES, MAX_PREDECESSORS};
use proto::v1::worker_message::Body;
use proto::v1::{self, WorkerMessage};
use vocabulary::measure::MAX_MEASUREMENTS;
use vocabulary::{Abilities, AttemptKey, EvaluationKind, Measured, MeasurementName, Place, Precision, WorkKind};

use super::DecodeError;
use crate::api::limit::at_most;
use crate::driver::from_worker::{FromWorker, Hello, Progress, Quiet, Report, ReportBody, UnusableStart};
use crate::store::CurvePoint;
use crate::verify::CheckpointClaim;

/// Reads the first message of a session.
pub(crate) fn hello(message: WorkerMessage) -> Result<Hello, DecodeError> {
    let Some(Body::Hello(hello)) = message.body else { return Err(DecodeError::HelloMisplaced) };
    // Before anything else: what the rest means depends on it.
    if hello.protocol != proto::PROTOCOL {
        let version = name("hello.version", hello.version)?;
        return Err(DecodeError::Protocol { version, theirs: hello.protocol });
    }
    at_most(MAX_LISTED, "hello.running", hello.running.len())?;
    at_most(MAX_LISTED, "hello.holds", hello.holds.len())?;
    at_most(MAX_PREDECESSORS, "hello.predecessors", hello.predecessors.len())?;
    at_most(MAX_NAME_BYTES, "hello.secret", hello.secret.len())?;
    let can = abilities(&hello)?;
    let place = hello.place.map(|place| Place::try_from(place).map_err(|error| error.within("hello.place")));
    Ok(Hello {
        worker: id("hello.worker", &hello.worker)?,
        name: name("hello.name", hello.name)?,
        version: name("hello.version", hello.version)?,
        device: name("hello.device", hello.device)?,
        memory_bytes: hello.memory_bytes,
        // What has ended or is about to takes nothing any more.
        can: if hello.ended || hello.leaving { Abilities { work: BTreeSet::new(), ..can } } else { can },
        running: attempts("hello.running", hello.running)?,
        holds: ids("hello.holds", &hello.holds)?,
        predecessors: ids("hello.predecessors", &hello.predecessors)?,
        connection: hello.connection,
        proves_storage: hello.proves_storage,
        secret_hash: (!hello.secret.is_empty()).then(|| blake3::hash(hello.secret.as_bytes())),
        place: place.transpose()?.unwrap_or_default(),
    })
}

/// What a hello says that the worker can do, as far as this version knows it. A worker from before there were several kinds
/// of work names none, and trains.
fn abilities(hello: &v1::Hello) -> Result<Abilities, DecodeError> {
    at_most(MAX_LISTED, "hello.work", hello.work.len())?;
    at_most(MAX_LISTED, "hello.precisions", hello.precisions.len())?;
    at_most(MAX_LISTED, "hello.evaluations", hello.evaluations.len())?;
    Ok(Abilities {
        work: known(&hello.work, WorkKind::find).unwrap_or_else(|| BTreeSet::from([WorkKind::Train])),
        numerics: hello.numerics,
        precisions: known(&hello.precisions, Precision::find),
        evaluations: known(&hello.evaluations, EvaluationKind::find),
    })
}

/// What these names stand for, without those of later versions; `None` if there are no names.
fn known<T: Ord>(names: &[String], find: impl Fn(&str) -> Option<T>) -> Option<BTreeSet<T>> {
    (!names.is_empty()).then(|| names.iter().filter_map(|name| find(name)).collect())
}

/// Reads every other message.
pub(crate) fn message(message: WorkerMessage) -> Result<FromWorker, DecodeError> {
    let sequence = message.sequence;
    match message.body.ok_or(DecodeError::UnknownKind)? {
        Body::Hello(_) => Err(DecodeError::HelloMisplaced),
        Body::Heartbeat(heartbeat) => {
            at_most(MAX_LISTED, "heartbeat.running", heartbeat.running.len())?;
            let held = heartbeat.held.map(|held| held.stages);
            at_most(MAX_LISTED, "heartbeat.held", held.as_ref().map_or(0, Vec::len))?;
            Ok(FromWorker::Heartbeat {
                running: attempts("heartbeat.running", heartbeat.running)?,
                progress: heartbeat.progress.map(progress).transpose()?,
                holds: held.map(|held| ids("heartbeat.held", &held)).transpose()?,
            })
        }
        Body::Goodbye(goodbye) => Ok(FromWorker::Goodbye { in_order: goodbye.in_order }),
        Body::StorageProof(proof) => {
            let trouble = proto::convert::reason(&proof.trouble);
            Ok(FromWorker::StorageProof { trouble: Some(trouble).filter(|trouble| !trouble.is_empty()) })
        }
        Body::CurvePoints(points) => {
            at_most(MAX_CURVE_POINTS, "curve_points.points", points.points.len())?;
            let key = attempt("curve_points.attempt", points.attempt)?;
            report("curve_points", sequence, key, ReportBody::Points(curve(points.points)?))
        }
        Body::CommitCheckpoint(commit) => {
            let key = attempt("commit_checkpoint.attempt", commit.attempt)?;
            at_most(MAX_NAME_BYTES, "commit_checkpoint.manifest_path", commit.manifest_path.len())?;
            at_most(MAX_NAME_BYTES, "commit_checkpoint.manifest_hash", commit.manifest_hash.len())?;
            let v1::CommitCheckpoint { step, manifest_path, manifest_hash, .. } = commit;
            let claim = CheckpointClaim { key, step, manifest_path, manifest_hash };
            report("commit_checkpoint", sequence, key, ReportBody::Checkpoint(claim))
        }
        Body::StageCompleted(completed) => {
            let key = attempt("stage_completed.attempt", completed.attempt)?;
            let missing = || ConvertError::new("stage_completed.result", Problem::Missing);
            let result = Measured::try_from(completed.result.ok_or_else(missing)?);
            let result = result.map_err(|error| error.within("stage_completed.result"))?;
            report("stage_completed", sequence, key, ReportBody::Completed(result))
        }
        Body::StageDiverged(diverged) => {
            let key = attempt("stage_diverged.attempt", diverged.attempt)?;
            let v1::StageDiverged { step, loss, .. } = diverged;
            report("stage_diverged", sequence, key, ReportBody::Diverged { step, loss })
        }
        Body::AttemptFailed(failed) => {
            let key = attempt("attempt_failed.attempt", failed.attempt)?;
            let v1::AttemptFailed { reason, started, .. } = failed;
            report(
                "attempt_failed",
                sequence,
                key,
                ReportBody::Failed { reason: proto::convert::reason(&reason), started },
            )
        }
        Body::AttemptReleased(released) => {
            let key = attempt("attempt_released.attempt", released.attempt)?;
            report("attempt_released", sequence, key, ReportBody::Released)
        }
        Body::StartUnusable(unusable) => {
            let key = attempt("start_unusable.attempt", unusable.attempt)?;
            let missing = || ConvertError::new("start_unusable.checkpoint", Problem::Missing);
            let checkpoint = unusable.checkpoint.ok_or_else(missing)?;
            at_most(MAX_NAME_BYTES, "start_unusable.checkpoint.manifest_hash", checkpoint.manifest_hash.len())?;
            let body = ReportBody::StartUnusable(UnusableStart {
                of: id("start_unusable.checkpoint.stage", &checkpoint.stage)?,
                step: checkpoint.step,
                manifest_hash: checkpoint.manifest_hash,
                reason: proto::convert::reason(&unusable.reason),
            });
            report("start_unusable", sequence, key, body)
        }
        Body::StorageFailed(failed) => {
            let key = attempt("storage_failed.attempt", failed.attempt)?;
            report(
                "storage_failed",
                sequence,
                key,
                ReportBody::StorageFailed { reason: proto::convert::reason(&failed.reason) },
            )
        }
        Body::RevocationConfirmed(confirmed) => {
            let key = attempt("revocation_confirmed.attempt", confirmed.attempt)?;
            report("revocation_confirmed", sequence, key, ReportBody::RevocationConfirmed)
        }
    }
}

fn report(kind: &'static str, sequence: u64, key: AttemptKey, body: ReportBody) -> Result<FromWorker, DecodeError> {
    if sequence == 0 {
        return Err(DecodeError::NoSequence { kind });
    }
    Ok(FromWorker::Report { sequence, report: Report { key, body } })
}

fn progress(progress: v1::Progress) -> Result<Progress, DecodeError> {
    let key = attempt("heartbeat.progress.attempt", progress.attempt)?;
    let latest = progress.latest.map(point).transpose()?;
    // Display only: a non-positive speed is treated as unknown.
    let speed = progress.tokens_per_second;
    let tokens_per_second = if speed.is_finite() && speed > 0.0 { speed } else { 0.0 };
    let phase = name("heartbeat.progress.phase", progress.phase)?;
    let lasts = Duration::from_millis(progress.quiet_ms);
    let quiet = (!phase.is_empty()).then_some(Quiet { phase, lasts });
    Ok(Progress { key, latest, tokens_per_second, quiet })
}

fn curve(points: Vec<v1::CurvePoint>) -> Result<Vec<CurvePoint>, DecodeError> {
    let gap = points.windows(2).find(|pair| pair[0].step.checked_add(1) != Some(pair[1].step));
    if let Some(pair) = gap {
        return Err(DecodeError::Gap { before: pair[0].step, step: pair[1].step });
    }
    let points: Vec<CurvePoint> = points.into_iter().map(point).collect::<Result<_, _>>()?;
    let names: BTreeSet<&MeasurementName> =
        points.iter().flat_map(|point| point.measurements.iter()).map(|(name, _)| name).collect();
    match names.len() {
        0..=MAX_MEASUREMENTS => Ok(points),
        count => Err(DecodeError::Series { count }),
    }
}

fn point(point: v1::CurvePoint) -> Result<CurvePoint, DecodeError> {
    let v1::CurvePoint { step, loss, grad_norm, learning_rate, measurements } = point;
    let measurements = proto::convert::measurements("measurements", measurements)?;
    Ok(CurvePoint { step, loss, grad_norm, learning_rate, measurements })
}

#[cfg(test)]
mod tests {
    use vocabulary::{Attempt, StageKey, WorkerId};

    use super::*;

    fn reference() -> Option<v1::AttemptRef> {
        Some(AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(1) }.into())
    }

    fn refusal(sequence: u64, body: Body) -> String {
        super::message(WorkerMessage { sequence, body: Some(body) }).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_not_sound_is_refused_by_name() {
        let released = v1::AttemptReleased { attempt: None };
        assert_eq!(refusal(1, Body::AttemptReleased(released)), "attempt_released.attempt: is missing");
        let released = v1::AttemptReleased { attempt: reference() };
        assert_eq!(
            refusal(0, Body::AttemptReleased(released)),
            "attempt_released has to have a sequence number above zero"
        );
        let completed = v1::StageCompleted { attempt: reference(), result: None };
        assert_eq!(refusal(1, Body::StageCompleted(completed)), "stage_completed.result: is missing");
        assert!(matches!(super::message(WorkerMessage::default()), Err(DecodeError::UnknownKind)));
    }

    #[test]
    fn a_curve_measures_no_more_things_than_a_point_may() {
        let point = |step: u64| v1::CurvePoint {
            step,
            measurements: vec![v1::Measurement { name: format!("number-{step}"), value: Some(1.0) }],
            ..v1::CurvePoint::default()
        };
        let points = |count: u64| {
            let points = v1::CurvePoints { attempt: reference(), points: (0..count).map(point).collect() };
            super::message(WorkerMessage { sequence: 3, body: Some(Body::CurvePoints(points)) })
        };
        let most = MAX_MEASUREMENTS as u64;
        assert!(points(most).is_ok());
        assert!(matches!(points(most + 1), Err(DecodeError::Series { count: 257 })));
    }

    #[test]
    fn a_curve_has_no_gaps() {
        let point = |step| v1::CurvePoint {
            step,
            loss: f64::NAN,
            grad_norm: 1.0,
            learning_rate: 0.1,
            measurements: Vec::new(),
        };
        let points = |steps: [u64; 3]| {
            let points = steps.map(point).to_vec();
            super::message(WorkerMessage {
                sequence: 3,
                body: Some(Body::CurvePoints(v1::CurvePoints { attempt: reference(), points })),
            })
        };
        assert!(points([4, 5, 6]).is_ok());
        assert!(matches!(points([4, 5, 7]), Err(DecodeError::Gap { before: 5, step: 7 })));
        assert!(matches!(points([4, 4, 5]), Err(DecodeError::Gap { .. })));
        assert!(matches!(points([u64::MAX, 0, 1]), Err(DecodeError::Gap { .. })));
    }

    #[test]
    fn a_session_begins_with_a_hello_of_bounded_size() {
        let heartbeat = WorkerMessage { sequence: 0, body: Some(Body::Heartbeat(v1::Heartbeat::default())) };
        assert!(matches!(hello(heartbeat), Err(DecodeError::HelloMisplaced)));
        let worker = WorkerId::from_content(b"a worker").to_string();
        let named = |name: String| {
            let hello = v1::Hello { worker: worker.clone(), name, protocol: proto::PROTOCOL, ..Default::default() };
            WorkerMessage { sequence: 0, body: Some(Body::Hello(hello)) }
        };
        assert!(hello(named("a name".to_owned())).is_ok());
        let refused = hello(named("x".repeat(MAX_NAME_BYTES + 1))).expect_err("it is refused");
        assert_eq!(refused.to_string(), "hello.name: has 1025 bytes, and 1024 are accepted");
        let refused = hello(named("\u{1b}[2J".to_owned())).expect_err("it is refused");
        assert_eq!(refused.to_string(), "hello.name: holds control characters");
        assert!(super::message(named("a name".to_owned())).is_err());
        let replaced = |count: usize| {
            let predecessors = vec![worker.clone(); count];
            let hello =
                v1::Hello { worker: worker.clone(), predecessors, protocol: proto::PROTOCOL, ..Default::default() };
            WorkerMessage { sequence: 0, body: Some(Body::Hello(hello)) }
        };
        assert!(hello(replaced(MAX_PREDECESSORS)).is_ok());
        let refused = hello(replaced(MAX_PREDECESSORS + 1)).expect_err("it is refused");
        assert_eq!(refused.to_string(), "hello.predecessors: has a length of 101, and 100 is accepted");
    }

    #[test]
    fn a_worker_that_is_leaving_can_do_nothing_more() {
        let can = |leaving| {
            let worker = WorkerId::from_content(b"a worker").to_string();
            let sent = v1::Hello { worker, leaving, protocol: proto::PROTOCOL, ..Default::default() };
            hello(WorkerMessage { sequence: 0, body: Some(Body::Hello(sent)) }).expect("it is sound").can.work
        };
        assert_eq!((can(false).len(), can(true).len()), (1, 0));
    }

    #[test]
    fn a_place_is_read_and_one_that_a_terminal_would_act_on_is_refused() {
        let said = |job: &str| {
            let place = v1::Place { job: job.to_owned(), restart: Some(1), ..Default::default() };
            let worker = WorkerId::from_content(b"a worker").to_string();
            let sent = v1::Hello { worker, place: Some(place), protocol: proto::PROTOCOL, ..Default::default() };
            hello(WorkerMessage { sequence: 0, body: Some(Body::Hello(sent)) })
        };
        let place = said("12_3").expect("it is sound").place;
        assert_eq!(place.to_string(), "job 12_3 (restart 1)");
        assert_eq!(said("").expect("it is sound").place.job, None);
        let refused = said("1\u{1b}[2J").expect_err("it is refused").to_string();
        assert!(refused.starts_with("hello.place.job: accepted: 1 to 128 letters"), "{refused}");
        assert!(said(&"1".repeat(129)).is_err());
    }

    #[test]
    fn a_worker_of_another_protocol_is_told_which_versions_they_are() {
        // A worker from before there were protocols says nothing of one.
        let old = v1::Hello {
            worker: WorkerId::from_content(b"a worker").to_string(),
            name: "old".to_owned(),
            version: "0.0.9".to_owned(),
            ..Default::default()
        };
        let newer = v1::Hello { protocol: proto::PROTOCOL + 1, ..old.clone() };
        for (said, theirs) in [(old, 0), (newer, proto::PROTOCOL + 1)] {
            let refused =
                hello(WorkerMessage { sequence: 0, body: Some(Body::Hello(said)) }).expect_err("it is refused");
            let ours = (env!("CARGO_PKG_VERSION"), proto::PROTOCOL);
            assert_eq!(
                refused.to_string(),
                format!(
                    "the worker is windtunnel 0.0.9 with protocol {theirs}, and this coordinator is windtunnel {} with \
                     protocol {}: run the same version of windtunnel on both",
                    ours.0, ours.1
                )
            );
        }
    }

    #[test]
    fn a_worker_that_names_no_kind_of_work_trains_and_kinds_of_later_versions_are_left_out() {
        let worker = WorkerId::from_content(b"a worker").to_string();
        let can = |work: &[&str]| {
            let work = work.iter().map(ToString::to_string).collect();
            let body = Body::Hello(v1::Hello {
                worker: worker.clone(),
                work,
                protocol: proto::PROTOCOL,
                ..Default::default()
            });
            hello(WorkerMessage { sequence: 0, body: Some(body) }).expect("it is sound").can
        };
        assert_eq!(can(&[]), Abilities::of([WorkKind::Train]));
        assert_eq!(can(&["train", "evaluate", "distil"]), Abilities::default());
        assert_eq!(can(&["distil"]), Abilities::of([]));
    }

    #[test]
    fn what_a_worker_says_of_its_arithmetic_is_read_and_what_it_does_not_say_is_unknown() {
        let worker = WorkerId::from_content(b"a worker").to_string();
        let said = v1::Hello {
            worker,
            protocol: proto::PROTOCOL,
            numerics: Some(7),
            precisions: vec!["fp32".to_owned(), "fp8".to_owned()],
            evaluations: vec!["held_out_loss".to_owned()],
            ..Default::default()
        };
        let body = Body::Hello(said);
        let can = hello(WorkerMessage { sequence: 0, body: Some(body) }).expect("it is sound").can;
        assert_eq!(can.numerics, Some(7));
        assert_eq!(can.precisions, Some(BTreeSet::from([Precision::Fp32])));
        assert_eq!(can.evaluations, Some(BTreeSet::from([EvaluationKind::HeldOutLoss])));
    }
}
