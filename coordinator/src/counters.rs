//! Counts of what the driver did since it started, for whoever watches the coordinator. No decision depends on them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use scheduler::{AttemptEnd, Fact};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Completed,
    Diverged,
    Failed,
    NotStarted,
    ProtocolBroken,
    Released,
    Silent,
    WorkerLeft,
    Lost,
    Revoked,
    StartUnusable,
    StorageFailed,
}

impl Ending {
    pub(crate) const ALL: [Self; 12] = [
        Self::Completed,
        Self::Diverged,
        Self::Failed,
        Self::NotStarted,
        Self::ProtocolBroken,
        Self::Released,
        Self::Silent,
        Self::WorkerLeft,
        Self::Lost,
        Self::Revoked,
        Self::StartUnusable,
        Self::StorageFailed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::NotStarted => "not_started",
            Self::ProtocolBroken => "protocol_broken",
            Self::Released => "released",
            Self::Silent => "silent",
            Self::WorkerLeft => "worker_left",
            Self::Lost => "lost",
            Self::Revoked => "revoked",
            Self::StartUnusable => "start_unusable",
            Self::StorageFailed => "storage_failed",
        }
    }

    fn of(fact: &Fact) -> Option<Self> {
        let why = match fact {
            Fact::StageCompleted { .. } => return Some(Self::Completed),
            Fact::StageDiverged { .. } => return Some(Self::Diverged),
            Fact::AttemptEnded { why, .. } => why,
            _ => return None,
        };
        Some(match why {
            AttemptEnd::Failed { started: true, .. } => Self::Failed,
            AttemptEnd::Failed { started: false, .. } => Self::NotStarted,
            AttemptEnd::ProtocolBroken { .. } => Self::ProtocolBroken,
            AttemptEnd::Released | AttemptEnd::Declined => Self::Released,
            AttemptEnd::LeaseExpired { .. } => Self::Silent,
            AttemptEnd::WorkerLeft { .. } => Self::WorkerLeft,
            AttemptEnd::Lost => Self::Lost,
            AttemptEnd::Revoked => Self::Revoked,
            AttemptEnd::StartUnusable { .. } => Self::StartUnusable,
            AttemptEnd::StorageFailed { .. } => Self::StorageFailed,
        })
    }
}

/// Upper bounds of the buckets of durations, in seconds. A commit on a local disk takes 1 to 10 ms.
pub(crate) const BUCKETS: [f64; 13] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// How long something took, each time.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// How many fell into each bucket and into none before it. The last one is beyond all bounds.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Durations {
    fn add(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How many took at most as long as each bound, and how many there are.
    pub(crate) fn cumulative(&self) -> [u64; BUCKETS.len() + 1] {
        let mut sum = 0;
        self.buckets.each_ref().map(|bucket| {
            sum += bucket.load(Relaxed);
            sum
        })
    }

    /// Of all together.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64()
    }
}

/// See the [module's page](self).
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Transactions.
    pub(crate) commits: Durations,
    attempts_started: AtomicU64,
    attempts_ended: [AtomicU64; Ending::ALL.len()],
    checkpoints: AtomicU64,
    checkpoint_bytes: AtomicU64,
    tokens: AtomicU64,
    unreadable: AtomicU64,
}

impl Counters {
    /// Something was committed: facts, the sizes of new checkpoints, and the tokens of new points.
    pub(crate) fn committed(
        &self,
        took: Duration,
        facts: &[Fact],
        checkpoints: impl IntoIterator<Item = u64>,
        tokens: u64,
    ) {
        self.commits.add(took);
        for fact in facts {
            if matches!(fact, Fact::AttemptStarted { .. }) {
                self.attempts_started.fetch_add(1, Relaxed);
            }
            if let Some(ending) = Ending::of(fact) {
                self.attempts_ended[ending as usize].fetch_add(1, Relaxed);
            }
        }
        for bytes in checkpoints {
            self.checkpoints.fetch_add(1, Relaxed);
            self.checkpoint_bytes.fetch_add(bytes, Relaxed);
        }
        self.tokens.fetch_add(tokens, Relaxed);
    }

    /// The storage did not give a checkpoint that a worker reported, and is asked again.
    pub(crate) fn unreadable(&self) {
        self.unreadable.fetch_add(1, Relaxed);
    }

    pub(crate) fn attempts_started(&self) -> u64 {
        self.attempts_started.load(Relaxed)
    }

    pub(crate) fn attempts_ended(&self, ending: Ending) -> u64 {
        self.attempts_ended[ending as usize].load(Relaxed)
    }

    pub(crate) fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Relaxed)
    }

    pub(crate) fn checkpoint_bytes(&self) -> u64 {
        self.checkpoint_bytes.load(Relaxed)
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.tokens.load(Relaxed)
    }

    pub(crate) fn storage_retries(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{Attempt, Measurements, StageKey};

    use super::*;

    #[test]
    fn durations_fall_into_the_first_bucket_that_holds_them() {
        let durations = Durations::default();
        for millis in [1, 3, 10, 11, 60_000] {
            durations.add(Duration::from_millis(millis));
        }
        assert_eq!(durations.cumulative(), [1, 1, 2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert!((durations.seconds() - 60.025).abs() < 1e-9);
    }

    #[test]
    fn attempts_are_counted_by_how_they_ended() {
        let (stage, attempt) = (StageKey::from_content(b"a stage"), Attempt(1));
        let ended = |why| Fact::AttemptEnded { stage, attempt, why, excused: false };
        let counters = Counters::default();
        let facts = [
            ended(AttemptEnd::Lost),
            ended(AttemptEnd::StorageFailed { reason: String::new() }),
            ended(AttemptEnd::Lost),
            Fact::StageCompleted { stage, attempt, result: Measurements::default() },
            Fact::StageRetried { stage },
        ];
        counters.committed(Duration::ZERO, &facts, [5, 7], 11);
        let counts = Ending::ALL.map(|ending| counters.attempts_ended(ending));
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 1]);
        assert_eq!((counters.checkpoints(), counters.checkpoint_bytes(), counters.tokens()), (2, 12, 11));
        // The position in the list is the position in memory.
        assert!(Ending::ALL.iter().enumerate().all(|(index, ending)| *ending as usize == index));
    }
}
