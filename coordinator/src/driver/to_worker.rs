//! What the driver sends to a worker. How it looks on the wire is the affair of `grpc`.

use std::time::Duration;

use tokio::sync::mpsc;
use vocabulary::{Attempt, AttemptKey, Work};

use super::interruptions::Cadence;
use crate::auth::REVOKED;
use crate::store::CommittedCheckpoint;

/// The driver's end of a session. Dropping it ends the stream to the worker.
pub(crate) type Outgoing = mpsc::Sender<Result<ToWorker, SessionEnd>>;

/// A message to a worker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ToWorker {
    /// The answer to its hello.
    Welcome {
        heartbeat_interval: Duration,
        lease_duration: Duration,
        /// The address of the storage it has to open.
        storage: String,
        /// What the marker of that storage says.
        storage_id: String,
    },
    /// Train or evaluate a stage.
    Assignment(Box<Assignment>),
    /// Every report up to this one is durable.
    Acknowledgement { sequence: u64 },
    /// Stop an attempt.
    Revocation(AttemptKey),
    /// Stop an attempt after a checkpoint, which still counts.
    Recall(AttemptKey),
    /// Leave: there is nothing to do, and the machine is wanted.
    Dismissal,
    /// Drop an attempt that is not this worker's.
    Refusal {
        key: AttemptKey,
        /// Why, for people; empty where it is over or another's.
        reason: String,
    },
}

/// A stage to train or to evaluate, and under which attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) work: Work,
    pub(crate) attempt: Attempt,
    /// The checkpoint to start from; `None` for initial weights.
    pub(crate) start: Option<CommittedCheckpoint>,
    pub(crate) cadence: Cadence,
}

/// Why a session ends before its worker does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionEnd {
    #[error("another token already spoke for this worker")]
    OtherToken,
    #[error("another process already has the identifier of this worker: the secrets differ")]
    OtherProcess,
    #[error("{REVOKED}")]
    TokenRevoked,
    /// The worker sent something that cannot be decoded.
    #[error("{reason}")]
    Malformed { reason: String },
}
