//! What a worker says, decoded and checked for its form.

use std::time::Duration;

use vocabulary::{Abilities, AttemptKey, Measured, Place, StageKey, WorkerId};

use crate::store::CurvePoint;
use crate::verify::CheckpointClaim;

/// The first message of a session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hello {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) device: String,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) can: Abilities,
    pub(crate) running: Vec<AttemptKey>,
    pub(crate) holds: Vec<StageKey>,
    /// Processes that have certainly ended, because this one could take their place.
    pub(crate) predecessors: Vec<WorkerId>,
    /// The process's own count of its connections; zero where it does not say.
    pub(crate) connection: u64,
    /// Whether it shows that it can use the storage before it is given anything.
    pub(crate) proves_storage: bool,
    /// BLAKE3 of its secret; `None` from a version before secrets.
    pub(crate) secret_hash: Option<blake3::Hash>,
    /// Where it runs.
    pub(crate) place: Place,
}

/// Every later message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FromWorker {
    Heartbeat {
        running: Vec<AttemptKey>,
        progress: Option<Progress>,
        /// What it has at hand, where that has changed.
        holds: Option<Vec<StageKey>>,
    },
    /// It can use the storage, or cannot for this reason.
    StorageProof { trouble: Option<String> },
    /// The process ends, in order or because of an error.
    Goodbye { in_order: bool },
    /// Something to acknowledge.
    Report { sequence: u64, report: Report },
}

/// How far an attempt is. Display only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    pub(crate) key: AttemptKey,
    pub(crate) latest: Option<CurvePoint>,
    /// Zero where it is unknown.
    pub(crate) tokens_per_second: f64,
    /// What has been going on since the last sign of progress.
    pub(crate) quiet: Option<Quiet>,
}

/// What a worker's training thread has been busy with, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// In words: `no step`.
    pub(crate) phase: String,
    pub(crate) lasts: Duration,
}

/// A report on an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    pub(crate) key: AttemptKey,
    pub(crate) body: ReportBody,
}

impl Report {
    /// How much of a backlog it takes.
    pub(crate) fn weight(&self) -> usize {
        match &self.body {
            ReportBody::Points(points) => points.len().max(1),
            _ => 1,
        }
    }
}

/// What is reported. All but `Points` become the scheduler's event of the same name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ReportBody {
    Points(Vec<CurvePoint>),
    Checkpoint(CheckpointClaim),
    Completed(Measured),
    Diverged { step: u64, loss: f64 },
    Failed { reason: String, started: bool },
    StartUnusable(UnusableStart),
    StorageFailed { reason: String },
    Released,
    RevocationConfirmed,
}

/// A committed checkpoint that a worker could not start from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnusableStart {
    pub(crate) of: StageKey,
    pub(crate) step: u64,
    pub(crate) manifest_hash: String,
    /// The worker's error.
    pub(crate) reason: String,
}
