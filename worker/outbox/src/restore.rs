//! The queue of a process that speaks for one that has ended.

use std::collections::BTreeSet;

use proto::v1::{AttemptFailed, AttemptRef, worker_message::Body};
use vocabulary::AttemptKey;

use super::{Queue, Recovered};

/// A queue with what a process left that has ended, in its order. Attempts without an end among it are over with the process:
/// whoever delivers it says so last.
#[must_use]
pub fn inherited(recovered: Recovered, limit: usize) -> Queue {
    let mut queue = Queue::new(limit, recovered.first_sequence());
    for message in recovered.messages {
        if let Some(key) = message.body.as_ref().and_then(attempt_of) {
            queue.restore(key, message);
        }
    }
    queue
}

/// A queue of a process that continues under the same identity, with what was left, in its order. Attempts that had not ended
/// when the earlier process did have failed with it.
#[must_use]
pub fn restored(recovered: Recovered, limit: usize) -> Queue {
    let mut queue = Queue::new(limit, recovered.first_sequence());
    let mut open = BTreeSet::new();
    for message in recovered.messages {
        let Some(key) = message.body.as_ref().and_then(attempt_of) else { continue };
        if message.body.as_ref().is_some_and(is_end) {
            open.remove(&key);
        } else {
            open.insert(key);
        }
        queue.restore(key, message);
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
        Body::StartUnusable(message) => message.attempt.as_ref(),
        Body::StorageFailed(message) => message.attempt.as_ref(),
        Body::Hello(_) | Body::Heartbeat(_) | Body::StorageProof(_) | Body::Goodbye(_) => None,
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
            | Body::StartUnusable(_)
            | Body::StorageFailed(_)
    )
}

#[cfg(test)]
mod tests {
    use proto::v1::{CurvePoints, StageDiverged, WorkerMessage};
    use vocabulary::{Attempt, StageKey, WorkerId};

    use super::super::{Spool, Spools};
    use super::*;

    fn key(attempt: u32) -> AttemptKey {
        AttemptKey { stage: StageKey::from_content(b"s"), attempt: Attempt(attempt) }
    }

    fn points(attempt: u32) -> Body {
        Body::CurvePoints(CurvePoints { attempt: Some(key(attempt).into()), points: Vec::new() })
    }

    fn end(attempt: u32) -> Body {
        Body::StageDiverged(StageDiverged { attempt: Some(key(attempt).into()), step: 3, loss: f64::INFINITY })
    }

    /// A queue as a process over this directory has it, and the spool it fills.
    fn start(dir: &std::path::Path) -> (Queue, Spool) {
        let mut spools = Spools::open(dir).expect("it opens");
        let (spool, recovered) = spools.continue_as(&WorkerId::from_content(b"w")).expect("it opens");
        (restored(recovered, 1 << 20), spool)
    }

    fn all(queue: &mut Queue) -> Vec<WorkerMessage> {
        std::iter::from_fn(|| queue.next_unsent()).collect()
    }

    #[test]
    fn messages_keep_their_numbers_and_unfinished_attempts_are_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut queue, spool) = start(dir.path());
        for (attempt, body) in [(1, points(1)), (1, end(1)), (2, points(2))] {
            spool.append(queue.push(key(attempt), body).clone());
        }
        drop(spool);
        let said = all(&mut queue);
        assert_eq!(said.iter().map(|message| message.sequence).collect::<Vec<_>>(), [1, 2, 3]);

        let (mut queue, _spool) = start(dir.path());
        let again = all(&mut queue);
        assert_eq!(again[..3], said);
        let Some(Body::AttemptFailed(failed)) = &again[3].body else { panic!("{again:?}") };
        assert_eq!(failed.attempt, Some(key(2).into()));
        assert!(again[3].sequence > 3);
        assert_eq!(again.len(), 4);
    }

    #[test]
    fn no_number_is_given_twice_whatever_was_said_and_acknowledged_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut last = 0;
        for messages in [3, 0, 0, 2, 1, 0, 5] {
            let (mut queue, spool) = start(dir.path());
            let left = queue.attempts().len();
            for _ in 0..messages {
                let message = queue.push(key(1), end(1)).clone();
                assert!(message.sequence > last, "{} after {last}, with {left} left", message.sequence);
                last = message.sequence;
                spool.append(message);
            }
            spool.acknowledge(u64::MAX);
        }
    }

    #[test]
    fn what_was_inherited_is_said_as_it_was_left_and_new_numbers_are_above_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut queue, spool) = start(dir.path());
        for (attempt, body) in [(1, points(1)), (1, end(1)), (2, points(2))] {
            spool.append(queue.push(key(attempt), body).clone());
        }
        drop(spool);
        let mut spools = Spools::open(dir.path()).expect("it opens");
        let [worker] = spools.unsaid()[..] else { panic!("one left something") };
        let (_spool, recovered) = spools.continue_as(&worker).expect("it opens");
        let mut queue = inherited(recovered, 1 << 20);
        assert_eq!(queue.attempts(), [key(1), key(2)].into(), "none of them is ended here");
        assert_eq!(all(&mut queue).iter().map(|message| message.sequence).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(queue.push(key(2), end(2)).sequence > 3);
    }
}
