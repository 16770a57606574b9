//! A store that lives as long as the process: for tests and simulations, which it spares the disk.
//!
//! Handles share one state, so a coordinator that is started again on a clone finds what the one before it committed. A
//! commit works on a copy of the state, so one that fails leaves nothing; its time grows with the store.

mod derived;
mod state;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use state::State;

/// A store in memory, as a cheap handle. See the [module's page](self).
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has every commit panic from now on, as a bug would, for tests of what happens then.
    pub fn break_commits(&self) {
        self.state().is_broken = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with the lock held replaced the state whole or not at all.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
