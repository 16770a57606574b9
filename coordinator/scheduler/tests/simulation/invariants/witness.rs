//! What is true over time, by somebody who remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scheduler::{AttemptEnd, Effect, Event, Fact, RetryCount, Scheduler, Settings, StageState, Standing, Timestamp};
use vocabulary::{AttemptKey, StageKey, WorkerId};

use super::{Moment, ensure, patience, recorded, report, stages};

/// When a running stage was heard of last, on a clock that stands still while nobody listens, and how long that lasts.
#[derive(Debug, Clone, Copy)]
struct Lease {
    heard: Duration,
    lasts: Duration,
}

/// What an observer of the whole history knows.
#[derive(Debug)]
pub(crate) struct Witness {
    settings: Settings,
    last_event: Timestamp,
    /// Time in which the coordinator listened.
    listened: Duration,
    leases: BTreeMap<StageKey, Lease>,
    /// When each worker was heard of last, on the same clock.
    workers: BTreeMap<WorkerId, Duration>,
    /// Stages that failed, and when the next attempt is due.
    due: BTreeMap<StageKey, Timestamp>,
    /// Who was given which attempt, ever.
    given: BTreeMap<AttemptKey, WorkerId>,
    /// Which worker was told to drop what since it joined.
    told: BTreeSet<(WorkerId, AttemptKey)>,
}

impl Witness {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            last_event: Timestamp(0),
            listened: Duration::ZERO,
            leases: BTreeMap::new(),
            workers: BTreeMap::new(),
            due: BTreeMap::new(),
            given: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Takes note of an event and of what was made of it.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub(crate) fn note(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let gap = moment.now.since(self.last_event);
        self.last_event = moment.now;
        if gap <= 2 * self.settings.heartbeat_interval {
            self.listened += gap;
        }
        self.invariant_lease_ends_only_after_its_time_in_silence(moment)?;
        self.note_signs_of_life(moment);
        self.invariant_silence_ends_a_lease(moment)?;
        self.invariant_a_failed_stage_waits_for_its_backoff(moment)?;
        self.invariant_unknown_attempts_are_refused(moment)
    }

    /// A coordinator restores the log.
    pub(crate) fn note_restart(&mut self, now: Timestamp, restored: &Scheduler) {
        self.last_event = now;
        self.due.clear();
        self.told.clear();
        let lease = Lease { heard: self.listened, lasts: self.settings.restart_grace };
        let running = stages(restored).filter(|(_, state)| matches!(state, StageState::Running { .. }));
        self.leases = running.map(|(stage, _)| (stage, lease)).collect();
    }

    /// Takes note of what is sent to a worker.
    ///
    /// # Errors
    /// If an attempt is given to two.
    pub(crate) fn note_order(&mut self, order: &Effect) -> Result<(), String> {
        let Effect::Assign { worker, key, .. } = order else { return Ok(()) };
        let first = *self.given.entry(*key).or_insert(*worker);
        ensure(first == *worker, || {
            format!("invariant_an_attempt_is_given_to_one_worker: {key} to {first} and {worker}")
        })
    }

    fn note_signs_of_life(&mut self, moment: &Moment<'_>) {
        let heard: Vec<(WorkerId, AttemptKey)> = match moment.event {
            Event::HeartbeatReceived { worker, .. } if moment.before.workers().all(|known| known.worker != *worker) => {
                Vec::new()
            }
            Event::WorkerJoined { worker, running, .. } | Event::HeartbeatReceived { worker, running, .. } => {
                running.iter().map(|key| (*worker, *key)).collect()
            }
            event => report(event).into_iter().collect(),
        };
        match moment.event {
            Event::WorkerJoined { worker, .. } | Event::HeartbeatReceived { worker, .. } => {
                self.workers.insert(*worker, self.listened);
            }
            event => {
                self.workers.extend(report(event).map(|(worker, ..)| (worker, self.listened)));
            }
        }
        let lease = Lease { heard: self.listened, lasts: self.settings.lease_duration };
        for (worker, key) in heard {
            if moment.before.standing(worker, key) == Standing::Current {
                self.leases.insert(key.stage, lease);
            }
        }
        for effect in moment.effects {
            if let Effect::Assign { key, .. } = effect {
                self.leases.insert(key.stage, lease);
            }
        }
    }

    fn invariant_lease_ends_only_after_its_time_in_silence(&self, moment: &Moment<'_>) -> Result<(), String> {
        for fact in recorded(moment) {
            let Fact::AttemptEnded { stage, why: AttemptEnd::LeaseExpired { .. }, .. } = fact else { continue };
            let lease = self.leases.get(stage).ok_or("a lease ends that nobody had")?;
            let silence = self.listened - lease.heard;
            // A worker that was silent for as long is taken for gone, with what it was given last.
            let worker = match moment.before.ledger().stage_state(stage) {
                Some(StageState::Running { worker, .. }) => self.workers.get(worker).copied(),
                _ => None,
            };
            let is_gone = worker.is_some_and(|heard| self.listened - heard >= self.settings.lease_duration);
            ensure(silence >= lease.lasts || is_gone, || {
                format!(
                    "invariant_lease_ends_only_after_its_time_in_silence: {} after {silence:?} of {:?}",
                    stage.short(),
                    lease.lasts
                )
            })?;
        }
        Ok(())
    }

    fn invariant_silence_ends_a_lease(&self, moment: &Moment<'_>) -> Result<(), String> {
        if *moment.event != Event::TimePassed {
            return Ok(());
        }
        for (stage, state) in stages(moment.after) {
            let StageState::Running { .. } = state else { continue };
            let lease = self.leases.get(&stage).ok_or("a stage runs that nobody was given")?;
            let silence = self.listened - lease.heard;
            ensure(silence < lease.lasts, || {
                format!("invariant_silence_ends_a_lease: {} runs after {silence:?} of silence", stage.short())
            })?;
        }
        Ok(())
    }

    fn invariant_a_failed_stage_waits_for_its_backoff(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        for fact in recorded(moment) {
            match fact {
                Fact::AttemptEnded { excused: true, .. } => {}
                Fact::AttemptEnded { stage, why, .. } => {
                    let Some(status) = moment.after.stage_status(stage) else { continue };
                    match why.counts_as() {
                        // It waits for something else if its start was lost and could not be trained again.
                        _ if matches!(status.state, StageState::NotRun { .. }) => {}
                        Some(count @ (RetryCount::NotStarted | RetryCount::Failed)) => {
                            let wait = patience(moment.after, stage).wait_after(status.counts.of(count));
                            self.due.insert(*stage, moment.now + wait);
                        }
                        Some(RetryCount::Preempted) | None => {}
                    }
                }
                Fact::StageRetried { stage } => {
                    self.due.remove(stage);
                }
                Fact::AttemptStarted { stage, .. } => {
                    let due = self.due.remove(stage).unwrap_or(moment.now);
                    ensure(due <= moment.now, || {
                        format!("invariant_a_failed_stage_waits_for_its_backoff: {} is due at {due}", stage.short())
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A worker that names an attempt that is not its own is told to drop it: for a report each time, and for one it holds
    /// once each time it joins.
    fn invariant_unknown_attempts_are_refused(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        if let Event::WorkerJoined { worker, .. } = moment.event {
            self.told.retain(|(told, ..)| told != worker);
        }
        for effect in moment.effects {
            if let Effect::Refuse { worker, key } | Effect::Revoke { worker, key } = effect {
                self.told.insert((*worker, *key));
            }
        }
        let is_stale = |(worker, key): &(WorkerId, AttemptKey)| moment.after.standing(*worker, *key) == Standing::Stale;
        let spoken_of: Vec<_> = match moment.event {
            Event::RevocationConfirmed { worker, key } => {
                self.told.remove(&(*worker, *key));
                Vec::new()
            }
            Event::WorkerJoined { worker, running, .. } | Event::HeartbeatReceived { worker, running, .. } => {
                let known = moment.after.workers().any(|known| known.worker == *worker);
                // What it settled may be trained again from this moment on: it is refused when it speaks of it next.
                let settled = |key: &AttemptKey| moment.before.standing(*worker, *key) == Standing::Settled;
                let spoken_of = running.iter().filter(|claim| known && !settled(claim));
                spoken_of.map(|key| (*worker, *key)).collect()
            }
            event => report(event)
                .into_iter()
                .filter(|(worker, key)| moment.before.standing(*worker, *key) == Standing::Stale)
                .collect(),
        };
        match spoken_of.iter().filter(|claim| is_stale(claim)).find(|claim| !self.told.contains(claim)) {
            None => Ok(()),
            Some((_, key)) => Err(format!("invariant_unknown_attempts_are_refused: {key} is not")),
        }
    }
}
