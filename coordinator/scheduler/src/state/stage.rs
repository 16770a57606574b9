//! A stage, as the log knows it, and the one table of what may become of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vocabulary::{Attempt, CampaignId, Measurements, Needs, StageKey, Work, WorkerId};

use crate::fact::{AttemptEnd, Fact, RemovalReason, RetryCount};
use crate::memory::memory_needed;

/// What has become of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StageState {
    /// Nobody trains it yet, or again.
    Waiting,
    /// A worker has it. The lease is not here: it ends with the process that gave it, the attempt does not.
    Running { worker: WorkerId, attempt: Attempt },
    /// It is trained.
    Completed {
        attempt: Attempt,
        /// What came out.
        #[serde(deserialize_with = "crate::result::read")]
        result: Measurements,
    },
    /// Its loss left all bounds.
    Diverged {
        attempt: Attempt,
        step: u64,
        /// The loss there, in nats a token; `None` where it was not a number.
        loss: Option<f64>,
    },
    /// It was given up.
    Failed {
        /// The retry limit that it used up.
        limit: RetryCount,
    },
    /// It has nothing to start from, and never will (unless the ancestor that failed is tried again).
    NotRun {
        /// The stage above that ended without a last checkpoint.
        ancestor: StageKey,
        /// How it ended.
        because: DeadEnd,
    },
}

/// How a stage ends that nothing can start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadEnd {
    Diverged,
    /// It was given up.
    Failed,
}

impl StageState {
    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running { .. } => "running",
            Self::Completed { .. } => "completed",
            Self::Diverged { .. } => "diverged",
            Self::Failed { .. } => "failed",
            Self::NotRun { .. } => "not run",
        }
    }

    /// Whether it may still be trained.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Waiting | Self::Running { .. })
    }
}

/// How many attempts of a stage ended in each of the ways that are limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Attempts that never began, since it last got further.
    pub not_started: u32,
    /// Attempts that lost their worker, since it last got further.
    pub preempted: u32,
    /// Attempts that ended in an error.
    pub failed: u32,
}

impl Counts {
    /// The count of one kind.
    #[must_use]
    pub fn of(&self, count: RetryCount) -> u32 {
        match count {
            RetryCount::NotStarted => self.not_started,
            RetryCount::Preempted => self.preempted,
            RetryCount::Failed => self.failed,
        }
    }

    fn add(&mut self, count: RetryCount) {
        let counter = match count {
            RetryCount::NotStarted => &mut self.not_started,
            RetryCount::Preempted => &mut self.preempted,
            RetryCount::Failed => &mut self.failed,
        };
        *counter = counter.saturating_add(1);
    }

    /// What is left of them once the stage got further.
    fn after_progress(self) -> Self {
        Self { failed: self.failed, ..Self::default() }
    }
}

/// A stage or an evaluation that some campaign asked for at some time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StageRecord {
    /// Its key, parent and spec.
    pub(crate) work: Work,
    /// The stages and evaluations that start from its last checkpoint.
    pub(crate) children: BTreeSet<StageKey>,
    /// Campaigns that want it, those that were cancelled left out.
    pub(crate) wanted_by: BTreeSet<CampaignId>,
    /// Bytes of device memory that it takes.
    pub(crate) memory_needed: u64,
    /// What else it takes.
    pub(crate) needs: Needs,
    /// How many stages were asked for before it.
    pub(crate) order: u64,
    /// Operations on the longest path from its start to a leaf: while it waits, so long does the campaign take at least.
    pub(crate) critical_path: f64,
    /// What has become of it.
    pub(crate) state: StageState,
    /// How often it was handed out.
    pub(crate) attempts: u32,
    /// Steps done at each of its committed checkpoints that are still there.
    pub(crate) checkpoints: BTreeSet<u64>,
    /// Steps of committed checkpoints that were found damaged or gone, for people.
    pub(crate) damaged: BTreeSet<u64>,
    /// What came out when it was done for the first time, where it was trained again since.
    pub(crate) first_result: Option<Measurements>,
    /// How attempts ended.
    pub(crate) counts: Counts,
    /// The same by the worker that had the attempt. A worker goes by its name, and one whose name nobody recorded by its
    /// identifier.
    pub(crate) counts_on: BTreeMap<String, Counts>,
    /// The worker of the last attempt.
    pub(crate) last_on: String,
    /// The worker of the last attempt that failed or did not start: the next one had better go elsewhere.
    pub(crate) failed_on: Option<String>,
    /// How its last attempt ended, where that is why it is not done.
    pub(crate) last_end: Option<AttemptEnd>,
}

impl StageRecord {
    pub(crate) fn new(work: Work, order: u64, state: StageState) -> Self {
        Self {
            memory_needed: memory_needed(&work),
            needs: work.needs(),
            work,
            children: BTreeSet::new(),
            wanted_by: BTreeSet::new(),
            order,
            critical_path: 0.0,
            state,
            attempts: 0,
            checkpoints: BTreeSet::new(),
            damaged: BTreeSet::new(),
            first_result: None,
            counts: Counts::default(),
            counts_on: BTreeMap::new(),
            last_on: String::new(),
            failed_on: None,
            last_end: None,
        }
    }

    pub(crate) fn key(&self) -> StageKey {
        self.work.key()
    }

    /// One past the last step, counted from the root; `None` for an evaluation, which trains none.
    pub(crate) fn end_step(&self) -> Option<u64> {
        self.work.stage().map(|stage| stage.spec.steps.end)
    }

    /// Operations that an attempt from its latest checkpoint costs.
    pub(crate) fn remaining_operations(&self) -> f64 {
        let all = self.work.flops().0;
        let Some((stage, reached)) = self.work.stage().zip(self.latest_checkpoint()) else { return all };
        let steps = &stage.spec.steps;
        let left = steps.end.saturating_sub(reached) as f64 / steps.end.saturating_sub(steps.start).max(1) as f64;
        all * left.min(1.0)
    }

    /// The number of the next attempt.
    pub(crate) fn next_attempt(&self) -> Attempt {
        Attempt(self.attempts.saturating_add(1))
    }

    /// Whether a checkpoint at this step is further than the last, and inside the stage.
    pub(crate) fn is_progress(&self, step: u64) -> bool {
        self.work.stage().is_some_and(|stage| {
            let reached = self.latest_checkpoint().unwrap_or(stage.spec.steps.start);
            reached < step && step <= stage.spec.steps.end
        })
    }

    /// Steps done at its latest committed checkpoint.
    pub(crate) fn latest_checkpoint(&self) -> Option<u64> {
        self.checkpoints.last().copied()
    }

    /// Whether its last checkpoint is committed. An evaluation has none.
    pub(crate) fn has_final_checkpoint(&self) -> bool {
        self.end_step().is_some_and(|end| self.checkpoints.contains(&end))
    }

    /// Whether everything it leaves besides its result is committed.
    pub(crate) fn may_complete(&self) -> bool {
        self.has_final_checkpoint() || self.work.evaluation().is_some()
    }

    /// Whether stages can start from it: it is trained, and its last checkpoint exists.
    pub(crate) fn can_be_started_from(&self) -> bool {
        matches!(self.state, StageState::Completed { .. }) && self.has_final_checkpoint()
    }

    /// Whether it may still need its parent's last checkpoint: it is not done, or was given up and may be tried again.
    pub(crate) fn may_start_yet(&self) -> bool {
        self.state.is_open() || matches!(self.state, StageState::Failed { .. })
    }

    /// How it ended, where it ended so that nothing can start from it, and which stage is to be named as the reason.
    pub(crate) fn dead_end(&self) -> Option<(StageKey, DeadEnd)> {
        match &self.state {
            StageState::Diverged { .. } => Some((self.key(), DeadEnd::Diverged)),
            StageState::Failed { .. } => Some((self.key(), DeadEnd::Failed)),
            StageState::NotRun { ancestor, because } => Some((*ancestor, *because)),
            StageState::Waiting | StageState::Running { .. } | StageState::Completed { .. } => None,
        }
    }

    /// Every legal transition: the state after a fact about this stage, or `None` where there is no such fact in its
    /// state. A stage becomes `NotRun`, and `Waiting` again after that, through its ancestor.
    fn next_state(&self, fact: &Fact) -> Option<StageState> {
        use StageState::{Completed, Diverged, Failed, Running, Waiting};
        Some(match (&self.state, fact) {
            (_, Fact::CheckpointRemoved { step, .. }) if self.checkpoints.contains(step) => self.state.clone(),
            (Completed { .. }, Fact::StageReopened { .. }) if !self.may_complete() => Waiting,
            (Waiting, Fact::AttemptStarted { worker, attempt, .. }) if *attempt == self.next_attempt() => {
                Running { worker: *worker, attempt: *attempt }
            }
            (Waiting, Fact::StagePoisoned { limit, .. }) => Failed { limit: *limit },
            (Running { attempt: current, .. }, fact) if Some(*current) != fact.attempt() => return None,
            (Running { .. }, Fact::CheckpointCommitted { step, .. }) if self.is_progress(*step) => self.state.clone(),
            (Running { .. }, Fact::StageCompleted { attempt, result, .. }) if self.may_complete() => {
                Completed { attempt: *attempt, result: self.first_result.clone().unwrap_or_else(|| result.clone()) }
            }
            (Running { .. }, Fact::StageDiverged { attempt, step, loss, .. }) => {
                Diverged { attempt: *attempt, step: *step, loss: *loss }
            }
            (Running { .. }, Fact::AttemptEnded { .. }) => Waiting,
            (Failed { .. } | Diverged { .. }, Fact::StageRetried { .. }) => Waiting,
            _ => return None,
        })
    }

    /// Applies a fact about this stage, and returns the state it was in; `None`, and nothing is changed, where the fact
    /// is not a legal one.
    pub(crate) fn apply(&mut self, fact: &Fact) -> Option<StageState> {
        let next = self.next_state(fact)?;
        let before = std::mem::replace(&mut self.state, next);
        match fact {
            Fact::AttemptStarted { attempt, worker, name, .. } => {
                self.attempts = attempt.0;
                self.last_on = if name.is_empty() { worker.to_string() } else { name.clone() };
            }
            Fact::CheckpointCommitted { step, .. } => {
                self.checkpoints.insert(*step);
                self.counts = self.counts.after_progress();
                self.counts_on.values_mut().for_each(|counts| *counts = counts.after_progress());
                self.counts_on.retain(|_, counts| *counts != Counts::default());
            }
            Fact::AttemptEnded { why, excused, .. } => {
                self.count(why, *excused);
                self.last_end = Some(why.clone());
            }
            Fact::StageRetried { .. } => {
                self.forget_counts();
                self.last_end = None;
            }
            Fact::StageCompleted { .. } | Fact::StageDiverged { .. } => self.last_end = None,
            Fact::CheckpointRemoved { step, why, .. } => {
                self.checkpoints.remove(step);
                if *why == RemovalReason::Damaged {
                    self.damaged.insert(*step);
                }
            }
            Fact::StageReopened { .. } => {
                self.forget_counts();
                if let StageState::Completed { result, .. } = &before {
                    self.first_result = Some(result.clone());
                }
            }
            _ => {}
        }
        Some(before)
    }

    fn count(&mut self, why: &AttemptEnd, excused: bool) {
        let Some(count) = why.counts_as() else { return };
        if matches!(count, RetryCount::NotStarted | RetryCount::Failed) {
            self.failed_on = Some(self.last_on.clone());
        }
        if !excused {
            self.counts.add(count);
            self.counts_on.entry(self.last_on.clone()).or_default().add(count);
        }
    }

    fn forget_counts(&mut self) {
        self.counts = Counts::default();
        self.counts_on.clear();
    }

    /// How many attempts ended so on one worker.
    pub(crate) fn count_on(&self, name: &str, count: RetryCount) -> u32 {
        self.counts_on.get(name).map_or(0, |counts| counts.of(count))
    }

    /// Whether several workers together say that it is the stage that is at fault, none of which counts for more than half
    /// of what is needed.
    pub(crate) fn failed_on_several(&self, count: RetryCount, limit: u32) -> bool {
        let most = most_of_one_worker(limit);
        let counts = self.counts_on.values().map(|counts| counts.of(count).min(most)).filter(|count| *count > 0);
        let (workers, sum) = counts.fold((0, 0_u32), |(workers, sum), count| (workers + 1, sum.saturating_add(count)));
        workers > 1 && sum > limit
    }
}

/// How many attempts of one worker count where others could take the stage: half of those that exceed the limit.
pub(crate) fn most_of_one_worker(limit: u32) -> u32 {
    (limit / 2).saturating_add(1)
}
