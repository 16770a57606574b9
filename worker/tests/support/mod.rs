//! What both tests have in common: stages with names, and attempts at them.

use proto::v1::{AttemptRef, worker_message::Body};
use vocabulary::{Attempt, DataSpec, LrSchedule, Stage, StageRole, StageSpec, sample};
use worker::AttemptKey;

/// A stage of this name that trains these steps. The same arguments give the same key.
pub(crate) fn stage(name: &str, parent: Option<&Stage>, end_step: u64) -> Stage {
    let start_step = parent.map_or(0, |parent| parent.spec.steps.end);
    let parent = parent.map(|parent| parent.key);
    let order_seed = name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(257) + u64::from(byte));
    let spec = StageSpec {
        data: DataSpec { order_seed, ..sample::stage().data },
        steps: start_step..end_step,
        schedule: LrSchedule::Constant { warmup_steps: 0 },
        ..sample::stage()
    };
    let role = if parent.is_some() { StageRole::Decay } else { StageRole::Trunk };
    Stage { key: spec.key(parent.as_ref()), parent, spec, role, size: name.to_owned(), seed: 0 }
}

/// The attempt of this number at a stage.
pub(crate) fn attempt(stage: &Stage, number: u32) -> AttemptKey {
    AttemptKey { stage: stage.key, attempt: Attempt(number) }
}

/// The attempt that a report is about.
#[track_caller]
pub(crate) fn attempt_of(report: &Body) -> AttemptKey {
    let attempt: Option<&AttemptRef> = match report {
        Body::CurvePoints(message) => message.attempt.as_ref(),
        Body::CommitCheckpoint(message) => message.attempt.as_ref(),
        Body::StageCompleted(message) => message.attempt.as_ref(),
        Body::StageDiverged(message) => message.attempt.as_ref(),
        Body::AttemptFailed(message) => message.attempt.as_ref(),
        Body::AttemptReleased(message) => message.attempt.as_ref(),
        Body::RevocationConfirmed(message) => message.attempt.as_ref(),
        Body::StartUnusable(message) => message.attempt.as_ref(),
        Body::StorageFailed(message) => message.attempt.as_ref(),
        Body::Hello(_) | Body::Heartbeat(_) | Body::StorageProof(_) | Body::Goodbye(_) => None,
    };
    AttemptKey::try_from(attempt.expect("a report names an attempt")).expect("it is sound")
}

/// Whether a report is the end of an attempt.
pub(crate) fn is_end(report: &Body) -> bool {
    !matches!(report, Body::CurvePoints(_) | Body::CommitCheckpoint(_))
}
