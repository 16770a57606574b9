//! Workers that are known to be alive. Nothing about them outlives the coordinator's process.

use std::collections::BTreeSet;
use std::sync::Arc;

use vocabulary::{Abilities, AttemptKey, StageKey};

use super::health::Rest;

/// What occupies a worker's one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Nothing: it can be given a stage, unless it rests or is unfit.
    Idle,
    /// An attempt.
    Busy(AttemptKey),
    /// An attempt it was told to stop, until it confirms that it did.
    Dropping(AttemptKey),
    /// Nothing, but the worker is about to leave.
    Leaving,
}

/// The most stages that a worker is remembered to have the last checkpoint of. It has the latest ones.
pub(crate) const MOST_HELD: usize = 64;

/// A worker that joined and has not been silent for a lease since.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Worker {
    /// For people, and what it is known by when another process takes its place.
    pub(crate) name: String,
    /// Memory of its device, where it is known.
    pub(crate) memory_bytes: Option<u64>,
    /// What it can do.
    pub(crate) can: Abilities,
    /// What it does.
    pub(crate) slot: Slot,
    /// Attempts it was told to drop, besides the one in its slot, and has not confirmed yet.
    pub(crate) also_dropping: BTreeSet<AttemptKey>,
    /// Stages with children whose last checkpoint it has locally, the latest last.
    pub(crate) holds: Arc<Vec<StageKey>>,
    /// Until when it is given nothing, and why.
    pub(crate) rest: Option<Rest>,
    /// Why it is given nothing, until the caller says that it is fit.
    pub(crate) unfit: Option<String>,
}

impl Worker {
    /// Memory of its device. An unknown size counts as enough for anything.
    pub(crate) fn room(&self) -> u64 {
        self.memory_bytes.unwrap_or(u64::MAX)
    }

    /// Whether it could be given something now.
    pub(crate) fn is_idle(&self) -> bool {
        self.slot == Slot::Idle && !self.is_held_back()
    }

    /// Whether it is given nothing, whatever its slot.
    fn is_held_back(&self) -> bool {
        self.rest.is_some() || self.unfit.is_some()
    }

    /// Why it is given nothing, whatever its slot, where that is so.
    pub(crate) fn why_held_back(&self) -> Option<String> {
        self.unfit.clone().or_else(|| self.rest.as_ref().map(|rest| rest.why.to_string()))
    }
}
