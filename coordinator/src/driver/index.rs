//! The committed checkpoints and their sizes.

use scheduler::SharedMap;
use scheduler::quota::StoredCheckpoint;
use vocabulary::{Attempt, AttemptKey, StageKey};

use crate::store::CommittedCheckpoint;

/// A committed checkpoint, without its manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) stage: StageKey,
    pub(crate) step: u64,
    pub(crate) attempt: Attempt,
    pub(crate) bytes: u64,
    /// Milliseconds since 1970; zero if unknown.
    pub(crate) committed_at_ms: u64,
}

impl Indexed {
    /// The attempt that wrote it.
    pub(crate) fn key(&self) -> AttemptKey {
        AttemptKey { stage: self.stage, attempt: self.attempt }
    }
}

impl From<&Indexed> for StoredCheckpoint {
    fn from(indexed: &Indexed) -> Self {
        let Indexed { stage, step, bytes, committed_at_ms, .. } = *indexed;
        Self { stage, step, bytes, committed_at_ms }
    }
}

/// All committed checkpoints, by stage and step. A copy is made at once and shares what does not change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    checkpoints: SharedMap<(StageKey, u64), Indexed>,
}

impl Index {
    pub(crate) fn new(rows: impl IntoIterator<Item = (CommittedCheckpoint, u64)>) -> Self {
        let mut index = Self::default();
        for (row, at_ms) in rows {
            index.add(&row, at_ms);
        }
        index
    }

    pub(crate) fn add(&mut self, row: &CommittedCheckpoint, committed_at_ms: u64) {
        let CommittedCheckpoint { stage, step, attempt, bytes, .. } = *row;
        self.checkpoints.insert((stage, step), Indexed { stage, step, attempt, bytes, committed_at_ms });
    }

    pub(crate) fn remove(&mut self, stage: StageKey, step: u64) -> Option<Indexed> {
        self.checkpoints.remove(&(stage, step))
    }

    /// Those of a stage, by step.
    pub(crate) fn of(&self, stage: StageKey) -> impl Iterator<Item = &Indexed> {
        self.checkpoints.range((stage, 0)..=(stage, u64::MAX)).map(|(_, indexed)| indexed)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Indexed> {
        self.checkpoints.values()
    }
}
