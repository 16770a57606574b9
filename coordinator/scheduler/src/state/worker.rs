//! Workers that are known to be alive. Nothing about them outlives the coordinator's process.

use std::collections::BTreeSet;
use std::sync::Arc;

use vocabulary::{AttemptKey, StageKey, WorkKind};

/// What occupies a worker's one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Nothing: it can be given a stage.
    Idle,
    /// An attempt.
    Busy(AttemptKey),
    /// An attempt it was told to stop, until it confirms that it did.
    Dropping(AttemptKey),
    /// Nothing, but the worker is about to leave.
    Leaving,
    /// Nothing, but the storage failed it, and it rests before it tries again.
    Resting,
}

/// A worker that joined and has not been silent for a lease since.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Worker {
    /// For people.
    pub(crate) name: String,
    /// Memory of its device, where it is known.
    pub(crate) memory_bytes: Option<u64>,
    /// The kinds of work it can do.
    pub(crate) can: BTreeSet<WorkKind>,
    /// What it does.
    pub(crate) slot: Slot,
    /// Attempts it was told to drop, besides the one in its slot, and has not confirmed yet.
    pub(crate) also_dropping: BTreeSet<AttemptKey>,
    /// Stages with children whose last checkpoint it has locally.
    pub(crate) holds: Arc<BTreeSet<StageKey>>,
    /// How often in a row the storage failed it.
    pub(crate) storage_failures: u32,
    /// Why it can be given nothing, if it cannot.
    pub(crate) unfit: Option<String>,
}

impl Worker {
    /// Memory of its device. An unknown size counts as enough for anything.
    pub(crate) fn room(&self) -> u64 {
        self.memory_bytes.unwrap_or(u64::MAX)
    }
}
