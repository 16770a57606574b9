//! The queue of a process that goes on where one of the same identity ended.

use std::collections::BTreeSet;

use proto::v1::{AttemptFailed, AttemptRef, WorkerMessage, worker_message::Body};

use super::Queue;
use crate::attempt::AttemptKey;

/// Numbers left out after a restart: more than there can have been messages that were sent before their copy was
/// written. A number must not be given twice, or the second message would be taken for a repetition of the first.
const SKIPPED: u64 = 1 << 20;

/// A queue with these messages, in their order. Attempts that had not ended when the process did have failed with it.
#[must_use]
pub fn restored(messages: Vec<WorkerMessage>, limit: usize) -> Queue {
    let mut queue = Queue::new(limit, 1);
    let mut open = BTreeSet::new();
    for message in messages {
        let Some(key) = message.body.as_ref().and_then(attempt_of) else { continue };
        if message.body.as_ref().is_some_and(is_end) {
            open.remove(&key);
        } else {
            open.insert(key);
        }
        queue.restore(key, message);
    }
    if !queue.is_empty() {
        queue.skip(SKIPPED);
    }
    for key in open {
        let reason = "the worker's process ended".to_owned();
        queue.push(key, Body::AttemptFailed(AttemptFailed { attempt: Some(key.into()), reason, started: true }));
    }
    queue
}

fn attempt_of(body: &Body) -> Option<AttemptKey> {
    let reference: &AttemptRef = match body {
        Body::CurvePoints(message) => message.attempt.as_ref(),
        Body::CommitCheckpoint(message) => message.attempt.as_ref(),
        Body::StageCompleted(message) => message.attempt.as_ref(),
        Body::StageDiverged(message) => message.attempt.as_ref(),
        Body::AttemptFailed(message) => message.attempt.as_ref(),
        Body::AttemptReleased(message) => message.attempt.as_ref(),
        Body::RevocationConfirmed(message) => message.attempt.as_ref(),
        Body::Hello(_) | Body::Heartbeat(_) | Body::Goodbye(_) => None,
    }?;
    AttemptKey::try_from(reference).ok()
}

fn is_end(body: &Body) -> bool {
    matches!(
        body,
        Body::StageCompleted(_)
            | Body::StageDiverged(_)
            | Body::AttemptFailed(_)
            | Body::AttemptReleased(_)
            | Body::RevocationConfirmed(_)
    )
}

#[cfg(test)]
mod tests {
    use proto::v1::{CurvePoints, StageDiverged};
    use recipes::{Attempt, StageKey};

    use super::*;

    fn message(sequence: u64, attempt: u32, ends: bool) -> WorkerMessage {
        let attempt = Some(AttemptRef { stage: StageKey::from_content(b"s").to_string(), attempt });
        let body = if ends {
            Body::StageDiverged(StageDiverged { attempt, step: 3, loss: f64::NAN })
        } else {
            Body::CurvePoints(CurvePoints { attempt, points: Vec::new() })
        };
        WorkerMessage { sequence, body: Some(body) }
    }

    #[test]
    fn messages_keep_their_numbers_and_unfinished_attempts_are_ended() {
        let mut queue = restored(vec![message(7, 1, false), message(8, 1, true), message(9, 2, false)], 1 << 20);
        let sent: Vec<_> = std::iter::from_fn(|| queue.next_unsent()).collect();
        assert_eq!(sent.iter().map(|message| message.sequence).take(3).collect::<Vec<_>>(), [7, 8, 9]);
        let Some(Body::AttemptFailed(failed)) = &sent[3].body else { panic!("{sent:?}") };
        assert_eq!(failed.attempt.as_ref().map(|attempt| attempt.attempt), Some(2));
        assert!(sent[3].sequence > 9 + SKIPPED);
        assert_eq!(sent.len(), 4);
    }

    #[test]
    fn a_fresh_queue_counts_from_one() {
        let queue = restored(Vec::new(), 1 << 20);
        assert_eq!(queue.last_sequence(), 0);
        let key = AttemptKey { stage: StageKey::from_content(b"s"), attempt: Attempt(1) };
        assert!(!queue.attempts().contains(&key));
    }
}
