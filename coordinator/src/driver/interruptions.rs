//! How often attempts lose their worker, as far as this process has seen.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use scheduler::{Campaign, Fact, RetryCount};
use vocabulary::{CheckpointPolicy, StageKey};

use super::Driver;

/// The prior: one interruption a day of training.
const ASSUMED: Duration = Duration::from_secs(24 * 3600);

/// Time trained, and how many attempts were preempted in it. Starts from nothing with each coordinator, for weeks-old
/// observations say little about today's machines.
#[derive(Debug, Default)]
pub(crate) struct Interruptions {
    since: BTreeMap<StageKey, Instant>,
    trained: Duration,
    preemptions: u32,
}

/// How often a worker checkpoints a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cadence {
    pub(crate) min_interval: Duration,
    pub(crate) max_interval: Duration,
    pub(crate) mean_time_between_interruptions: Duration,
}

impl Interruptions {
    /// Counts the attempts that begin and end.
    pub(crate) fn take_note(&mut self, fact: &Fact, now: Instant) {
        match fact {
            Fact::AttemptStarted { stage, .. } => {
                self.since.insert(*stage, now);
            }
            Fact::AttemptEnded { stage, why, .. } => {
                self.end(stage, now);
                self.preemptions += u32::from(why.counts_as() == Some(RetryCount::Preempted));
            }
            Fact::StageCompleted { stage, .. } | Fact::StageDiverged { stage, .. } => self.end(stage, now),
            _ => {}
        }
    }

    fn end(&mut self, stage: &StageKey, now: Instant) {
        if let Some(since) = self.since.remove(stage) {
            self.trained += now.duration_since(since);
        }
    }

    /// Mean training time until an attempt loses its worker. The prior counts as one more observation, so the mean is
    /// neither infinite before the first interruption nor close to zero right after it.
    pub(crate) fn mean_time_between(&self, now: Instant) -> Duration {
        let running: Duration = self.since.values().map(|since| now.duration_since(*since)).sum();
        (ASSUMED + self.trained + running) / self.preemptions.saturating_add(1)
    }
}

impl Driver {
    /// How often to checkpoint a stage: as often as the most careful campaign that wants it asks.
    pub(super) fn cadence(&self, stage: &StageKey) -> Cadence {
        let policies: Vec<CheckpointPolicy> =
            self.scheduler.ledger().wanted_by(stage).map(Campaign::plan).map(|plan| plan.checkpoints).collect();
        let shortest = |of: fn(&CheckpointPolicy) -> u64| {
            Duration::from_secs(policies.iter().map(of).min().unwrap_or_else(|| of(&CheckpointPolicy::default())))
        };
        Cadence {
            min_interval: shortest(|policy| policy.min_interval_seconds),
            max_interval: shortest(|policy| policy.max_interval_seconds),
            mean_time_between_interruptions: self.interruptions.mean_time_between(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use scheduler::AttemptEnd;
    use vocabulary::{Attempt, WorkerId};

    use super::*;

    #[test]
    fn interruptions_are_counted_over_the_time_that_was_trained() {
        let (stage, begin) = (StageKey::from_content(b"a stage"), Instant::now());
        let after = |hours: u64| begin + Duration::from_secs(hours * 3600);
        let started = Fact::AttemptStarted {
            stage,
            worker: WorkerId::from_content(b"w"),
            attempt: Attempt(1),
            name: String::new(),
        };
        let ended = |why| Fact::AttemptEnded { stage, attempt: Attempt(1), why, excused: false };
        let mut interruptions = Interruptions::default();
        assert_eq!(interruptions.mean_time_between(begin), ASSUMED);
        interruptions.take_note(&started, begin);
        assert_eq!(interruptions.mean_time_between(after(1)), ASSUMED + Duration::from_secs(3600));
        interruptions.take_note(&ended(AttemptEnd::Released), after(2));
        assert_eq!(
            interruptions.mean_time_between(after(9)),
            Duration::from_secs(13 * 3600),
            "idle time is not training"
        );
        interruptions.take_note(&started, after(9));
        interruptions.take_note(&ended(AttemptEnd::Failed { reason: String::new(), started: true }), after(13));
        assert_eq!(
            interruptions.mean_time_between(after(13)),
            Duration::from_secs(15 * 3600),
            "an error is not the loss of a worker"
        );
    }
}
