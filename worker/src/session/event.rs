//! What happens to a session, and what it wants done. Reading these is reading the worker's half of the protocol.

use std::fmt;

use proto::v1::{Heartbeat, Hello, WorkerMessage};
use vocabulary::{AttemptKey, Stage, WorkerId};

use crate::cadence::Cadence;
use crate::checkpoint::CheckpointRef;
use crate::runner::{Report, Stop};
use crate::training::PendingBlobs;

/// A stage to train.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Under which attempt everything about it is reported.
    pub key: AttemptKey,
    /// What.
    pub stage: Stage,
    /// The checkpoint to start from; `None` where it starts from initial weights.
    pub start: Option<CheckpointRef>,
    /// How often a checkpoint is to be taken.
    pub cadence: Cadence,
}

/// A message of the coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// The session is open.
    Welcome {
        /// How often it wants to hear of this worker.
        heartbeat_interval: std::time::Duration,
        /// Root of the storage.
        storage: String,
    },
    /// Train this.
    Assigned(Box<Assignment>),
    /// An assignment that cannot be carried out as it is written.
    Unusable {
        /// Of which attempt.
        key: AttemptKey,
        /// What is wrong with it.
        reason: String,
    },
    /// Everything up to this number is durable.
    Acknowledged(u64),
    /// Stop the attempt, and confirm.
    Revoked(AttemptKey),
    /// The attempt is not this worker's: stop it, drop what is to be said about it, and confirm.
    Refused(AttemptKey),
}

/// Why an attempt never came to the training thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unprepared {
    /// The checkpoint it was to start from is not what was committed, or is gone.
    StartUnusable {
        /// Which.
        checkpoint: CheckpointRef,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage could not be read, however often it was tried.
    StorageFailed {
        /// The error and its causes.
        reason: String,
    },
    /// Anything else.
    Failed {
        /// The error and its causes.
        reason: String,
    },
}

/// Why a checkpoint is not in the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The training could not give it.
    NotTaken {
        /// The error and its causes.
        reason: String,
    },
    /// The storage would not take it, however often it was tried.
    NotStored {
        /// The error and its causes.
        reason: String,
    },
}

/// Something that has happened.
pub enum Event {
    /// A connection is open, and nothing was said on it.
    Connected,
    /// The connection broke.
    Disconnected,
    /// The coordinator said something.
    Received(Received),
    /// The training thread said something.
    Reported(Report),
    /// What an attempt needs could not be had, so it never came to the training thread.
    NotPrepared {
        /// Which.
        key: AttemptKey,
        /// Why.
        why: Unprepared,
    },
    /// An attempt was taken back before it came to the training thread.
    PreparationStopped {
        /// Which.
        key: AttemptKey,
    },
    /// A checkpoint is in the storage, complete.
    CheckpointStored {
        /// By which attempt.
        key: AttemptKey,
        /// Which.
        checkpoint: CheckpointRef,
    },
    /// A checkpoint could not be stored.
    CheckpointLost {
        /// By which attempt.
        key: AttemptKey,
        /// Of which step.
        step: u64,
        /// Why.
        why: Lost,
    },
    /// It is time for a sign of life.
    HeartbeatDue,
    /// The worker has to go.
    LeaveRequested,
}

/// An order to the caller.
pub enum Action {
    /// Say hello on the new connection.
    Greet(Hello),
    /// Send a sign of life.
    Beat(Heartbeat),
    /// Copy a message to the disk. Sending it does not wait for that.
    Spool(WorkerMessage),
    /// Messages up to this number need no copy any more.
    Forget(u64),
    /// The coordinator knows for good that the processes before this one are gone.
    ForgetPredecessors(WorkerId),
    /// Fetch what an attempt needs, and hand it to the training thread.
    Prepare(Box<Assignment>),
    /// Stop an attempt, wherever it is. Its end is awaited as an event.
    Stop(AttemptKey, Stop),
    /// Put a checkpoint into the storage, after those before it.
    Store {
        /// By which attempt.
        key: AttemptKey,
        /// Steps done.
        step: u64,
        /// Whether it is the stage's last.
        is_last: bool,
        /// What to store.
        blobs: PendingBlobs,
    },
    /// Use the storage of this address from now on, and this interval.
    Configure {
        /// How often the coordinator wants to hear of this worker.
        heartbeat_interval: std::time::Duration,
        /// Root of the storage.
        storage: String,
    },
    /// Say goodbye and end: nothing is left to be done or to be said.
    Depart,
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greet(hello) => f.debug_tuple("Greet").field(hello).finish(),
            Self::Beat(heartbeat) => f.debug_tuple("Beat").field(heartbeat).finish(),
            Self::Spool(message) => f.debug_tuple("Spool").field(message).finish(),
            Self::Forget(through) => f.debug_tuple("Forget").field(through).finish(),
            Self::ForgetPredecessors(worker) => f.debug_tuple("ForgetPredecessors").field(worker).finish(),
            Self::Prepare(assignment) => f.debug_tuple("Prepare").field(&assignment.key).finish(),
            Self::Stop(key, stop) => f.debug_tuple("Stop").field(key).field(stop).finish(),
            Self::Store { key, step, is_last, .. } => write!(f, "Store({key}, {step}, last: {is_last})"),
            Self::Configure { storage, .. } => f.debug_tuple("Configure").field(storage).finish(),
            Self::Depart => f.write_str("Depart"),
        }
    }
}
