//! Sentences about how things stand. Errors say themselves, and so do the scheduler's reasons
//! ([`WaitReason`](scheduler::WaitReason), [`AttemptEnd`](scheduler::AttemptEnd)); here they are put together.

use scheduler::{DeadEnd, StageState, StageStatus};

/// Why a stage is where it is; empty where its phase says it all.
pub(crate) fn stage_reason(status: &StageStatus, campaign_is_cancelled: bool) -> String {
    let last_end = status.last_end.as_ref();
    match &status.state {
        StageState::Waiting if campaign_is_cancelled => "the campaign was cancelled".to_owned(),
        StageState::Waiting => {
            let waits = status.waits.as_ref().map(ToString::to_string);
            let last = last_end.map(|end| format!("last attempt: {end}"));
            [waits, last].into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        StageState::Running { .. } | StageState::Completed { .. } => String::new(),
        StageState::Diverged { step, loss: Some(loss), .. } => format!("the loss was {loss} at step {step}"),
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
