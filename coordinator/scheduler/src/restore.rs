//! The way back from a log.

use crate::fact::Fact;
use crate::scheduler::Scheduler;
use crate::settings::Settings;
use crate::state::ledger::IllegalFact;
use crate::state::stage::StageState;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Why a log cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fact {index} of the log cannot be true after those before it")]
pub struct RestoreError {
    /// Which fact, counted from 0.
    pub index: usize,
    /// Why not.
    #[source]
    pub source: IllegalFact,
}

impl Scheduler {
    /// The scheduler that committed these facts, after a restart.
    ///
    /// No worker is known. Attempts that ran keep their worker and have [`Settings::restart_grace`] to be heard of: a
    /// worker that joins in that time with the attempt in hand goes on without losing a step. Waits between retries are
    /// over.
    ///
    /// # Errors
    /// If a fact contradicts those before it.
    pub fn restore(
        settings: Settings,
        now: Timestamp,
        facts: impl IntoIterator<Item = Fact>,
    ) -> Result<Self, RestoreError> {
        let mut scheduler = Self { last_handled: Some(now), ..Self::new(settings) };
        for (index, fact) in facts.into_iter().enumerate() {
            scheduler.ledger.apply(&fact).map_err(|source| RestoreError { index, source })?;
        }
        for record in scheduler.ledger.records() {
            let stage = record.stage.key;
            if let StageState::Running { worker, .. } = record.state {
                scheduler.running_on.insert(worker, stage);
                scheduler.held_over.insert(stage);
                scheduler.timers.set(Timer::LeaseExpired(stage), now + settings.restart_grace);
            } else if scheduler.ledger.can_start(record) {
                scheduler.ready.insert(record);
            }
        }
        Ok(scheduler)
    }
}
