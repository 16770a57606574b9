//! Restoring a scheduler from a log, or from a snapshot and the facts after it.

use crate::fact::Fact;
use crate::scheduler::Scheduler;
use crate::settings::Settings;
use crate::state::ledger::{IllegalFact, Ledger};
use crate::state::snapshot::{Snapshot, SnapshotError};
use crate::state::stage::StageState;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Why a log cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fact {index} of the log cannot be true after those before it")]
pub struct RestoreError {
    /// The index of the fact, counted from 0.
    pub index: usize,
    /// Why not.
    #[source]
    pub source: IllegalFact,
}

/// Why a snapshot and the facts after it cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreFault {
    /// The snapshot contradicts itself; the whole log may be sound.
    #[error("the snapshot cannot be true")]
    Snapshot(#[source] SnapshotError),
    /// A fact contradicts what was before it.
    #[error(transparent)]
    Log(RestoreError),
}

impl Scheduler {
    /// The scheduler that committed these facts, after a restart.
    ///
    /// No worker is known. Running attempts keep their worker for [`Settings::restart_grace`]: a worker that joins in that
    /// time and holds the attempt continues without losing a step. Back-offs are over.
    ///
    /// # Errors
    /// If a fact contradicts those before it.
    pub fn restore(
        settings: Settings,
        now: Timestamp,
        facts: impl IntoIterator<Item = Fact>,
    ) -> Result<Self, RestoreError> {
        let mut scheduler = Self { last_handled: Some(now), ..Self::new(settings) };
        scheduler.replay(now, facts)?;
        Ok(scheduler)
    }

    /// The same from a snapshot of the ledger and the facts after it.
    ///
    /// # Errors
    /// If the snapshot contradicts itself, or a fact what was before it.
    pub fn restore_from(
        settings: Settings,
        now: Timestamp,
        snapshot: Snapshot,
        facts: impl IntoIterator<Item = Fact>,
    ) -> Result<Self, RestoreFault> {
        let ledger = Ledger::from_snapshot(snapshot).map_err(RestoreFault::Snapshot)?;
        let mut scheduler = Self { last_handled: Some(now), ledger, ..Self::new(settings) };
        scheduler.replay(now, facts).map_err(RestoreFault::Log)?;
        Ok(scheduler)
    }

    /// All that outlives the process, to be stored beside the log.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.ledger.snapshot()
    }

    fn replay(&mut self, now: Timestamp, facts: impl IntoIterator<Item = Fact>) -> Result<(), RestoreError> {
        for (index, fact) in facts.into_iter().enumerate() {
            self.ledger.apply(&fact).map_err(|source| RestoreError { index, source })?;
        }
        for record in self.ledger.records() {
            let stage = record.key();
            if let StageState::Running { worker, .. } = record.state {
                self.running_on.insert(worker, stage);
                self.held_over.insert(stage);
                self.timers.set(Timer::LeaseExpired(stage), now + self.settings.restart_grace);
            } else if self.ledger.can_start(record) {
                self.ready.insert(record);
            }
        }
        Ok(())
    }
}
