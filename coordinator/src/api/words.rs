//! Sentences about how things stand. Errors say themselves, and so do the scheduler's reasons
//! ([`WaitReason`](scheduler::WaitReason), [`AttemptEnd`](scheduler::AttemptEnd)); here they are put together.

use std::time::Duration;

use scheduler::{DeadEnd, StageState, StageStatus};

use crate::driver::from_worker::Quiet;

/// From when on it is said how long a worker has been quiet. Many steps take less.
const QUIET: Duration = Duration::from_secs(60);

/// How long a worker has been busy with one thing, if that is long.
pub(crate) fn quiet(quiet: &Quiet) -> Option<String> {
    let Quiet { phase, lasts } = quiet;
    (*lasts >= QUIET).then(|| format!("{phase} for {} min", lasts.as_secs() / 60))
}

/// Why a stage is where it is; empty where its phase says it all.
pub(crate) fn stage_reason(status: &StageStatus, is_cancelled: bool) -> String {
    let last_end = status.last_end.as_ref();
    match &status.state {
        StageState::Waiting if is_cancelled => "it was cancelled".to_owned(),
        StageState::Waiting => {
            let waits = status.waits.as_ref().map(ToString::to_string);
            let last = last_end.map(|end| format!("last attempt: {end}"));
            [waits, last].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        StageState::Running { .. } | StageState::Completed { .. } => String::new(),
        StageState::Diverged { step, loss: Some(loss), .. } => format!("the loss was {loss:.4} at step {step}"),
        StageState::Diverged { step, loss: None, .. } => format!("the loss was NaN or infinite at step {step}"),
        StageState::Failed { limit } => {
            let last = last_end.map(|end| format!(", the last: {end}")).unwrap_or_default();
            format!("given up after {} attempts ({limit}){last}", status.attempts)
        }
        StageState::NotRun { ancestor, because } => {
            let because = match because {
                DeadEnd::Diverged => "diverged",
                DeadEnd::Failed => "was given up",
            };
            format!("starts from {}, which {because}", ancestor.short())
        }
    }
}

/// For a running stage whose worker is not connected.
pub(crate) fn worker_away() -> String {
    "its worker is not connected; without it, the stage resumes from its last checkpoint once the lease is over"
        .to_owned()
}

/// What keeps a checkpoint from being committed, while it is tried again.
pub(crate) fn unread_checkpoint(trouble: &str) -> String {
    format!("the coordinator cannot read its latest checkpoint and tries again: {trouble}")
}

#[cfg(test)]
mod tests {
    use scheduler::{AttemptEnd, Counts, RetryCount, WaitReason};
    use vocabulary::{Attempt, StageKey};

    use super::*;

    fn stage(state: StageState) -> StageStatus {
        StageStatus {
            state,
            waits: None,
            lease_until: None,
            attempts: 3,
            counts: Counts::default(),
            checkpoint: None,
            last_end: Some(AttemptEnd::Failed { reason: "disk full".to_owned(), started: true }),
        }
    }

    #[test]
    fn a_worker_that_is_quiet_for_long_is_said_to_be() {
        let after = |seconds| quiet(&Quiet { phase: "no step".to_owned(), lasts: Duration::from_secs(seconds) });
        assert_eq!((after(59), after(725).as_deref()), (None, Some("no step for 12 min")));
    }

    #[test]
    fn a_reason_is_one_sentence() {
        let waits = StageStatus { waits: Some(WaitReason::WorkersBusy { ahead: 4 }), ..stage(StageState::Waiting) };
        assert_eq!(stage_reason(&waits, false), "queued, fifth in line; last attempt: failed: disk full");
        assert_eq!(stage_reason(&waits, true), "it was cancelled");
        let diverged = |loss| stage(StageState::Diverged { attempt: Attempt(3), step: 7, loss });
        assert_eq!(stage_reason(&diverged(Some(12.5)), false), "the loss was 12.5000 at step 7");
        assert_eq!(stage_reason(&diverged(None), false), "the loss was NaN or infinite at step 7");
        let failed = stage(StageState::Failed { limit: RetryCount::Failed });
        let sentence = "given up after 3 attempts (failed), the last: failed: disk full";
        assert_eq!(stage_reason(&failed, false), sentence);
        let ancestor = StageKey::from_content(b"a stage");
        let not_run = stage(StageState::NotRun { ancestor, because: DeadEnd::Diverged });
        assert_eq!(stage_reason(&not_run, false), format!("starts from {}, which diverged", ancestor.short()));
    }
}
