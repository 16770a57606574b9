//! The session's events and actions: the worker's half of the protocol.

use std::fmt;

use proto::v1::{Heartbeat, Hello, WorkerMessage};
use storage::StorageId;
use vocabulary::{AttemptKey, Work, WorkerId};

use crate::cadence::Cadence;
use crate::checkpoint::CheckpointRef;
use crate::pulse::Quiet;
use crate::runner::{Report, Stop};
use crate::training::PendingBlobs;

/// A stage to train, or to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The attempt under which everything about it is reported.
    pub key: AttemptKey,
    /// What to train or to evaluate, with its place in the tree.
    pub work: Work,
    /// The checkpoint to start from; `None` for initial weights.
    pub start: Option<CheckpointRef>,
    /// How often to take a checkpoint.
    pub cadence: Cadence,
}

/// The storage that a coordinator names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The address of the storage, as a URL.
    pub address: String,
    /// What its marker says; `None` from a coordinator that does not ask for a proof.
    pub id: Option<StorageId>,
}

/// A message of the coordinator.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// The session is open.
    Welcome {
        /// The interval of the heartbeats it expects.
        heartbeat_interval: std::time::Duration,
        /// The storage that the welcome named.
        storage: Offer,
    },
    /// A stage to train.
    Assigned(Box<Assignment>),
    /// An invalid assignment.
    Unusable {
        /// The attempt.
        key: AttemptKey,
        /// What is wrong with the assignment.
        reason: String,
    },
    /// Everything up to this number is durable.
    Acknowledged(u64),
    /// Stop the attempt, and confirm.
    Revoked(AttemptKey),
    /// Stop the attempt after a checkpoint, report that, and confirm.
    Recalled(AttemptKey),
    /// Leave: nothing is to be done, and the pool wants the machine back.
    Dismissed,
    /// The attempt is not this worker's: stop it, drop its unsent messages, and confirm.
    Refused {
        /// The attempt.
        key: AttemptKey,
        /// Why it is not this worker's any more; empty if the coordinator gives no reason.
        reason: String,
    },
}

/// Why an attempt never reached the training thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unprepared {
    /// The checkpoint to start from is missing, or is not what was committed.
    StartUnusable {
        /// As the assignment names it.
        checkpoint: CheckpointRef,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage could not be read after all retries.
    StorageFailed {
        /// The error and its causes.
        reason: String,
    },
    /// Another error.
    Failed {
        /// The error and its causes.
        reason: String,
    },
}

/// Why a checkpoint was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// It could not be taken or encoded.
    NotTaken {
        /// The error and its causes.
        reason: String,
    },
    /// The storage did not accept it after all retries.
    NotStored {
        /// The error and its causes.
        reason: String,
    },
}

/// Something that happened.
pub enum Event {
    /// A connection is open, and no message was sent on it yet.
    Connected,
    /// The connection broke.
    Disconnected,
    /// A message of the coordinator arrived.
    Received(Received),
    /// The training thread reported something.
    Reported(Report),
    /// What an attempt needs could not be fetched, so it never reached the training thread.
    NotPrepared {
        /// The attempt.
        key: AttemptKey,
        /// The reason.
        why: Unprepared,
    },
    /// An attempt was stopped before it reached the training thread.
    PreparationStopped {
        /// The attempt.
        key: AttemptKey,
    },
    /// A checkpoint is in the storage, complete.
    CheckpointStored {
        /// The attempt.
        key: AttemptKey,
        /// Complete, and ready to be committed.
        checkpoint: CheckpointRef,
    },
    /// A checkpoint could not be stored.
    CheckpointLost {
        /// The attempt.
        key: AttemptKey,
        /// Steps done.
        step: u64,
        /// The reason.
        why: Lost,
    },
    /// It is time for a heartbeat.
    HeartbeatDue {
        /// What the training thread has been busy with, and for how long.
        quiet: Option<Quiet>,
    },
    /// The worker has to stop.
    LeaveRequested,
    /// The worker has to stop, and cannot wait for the coordinator: what that has not heard of stays on the disk, for the
    /// process that comes next.
    GivenUp,
    /// The training thread makes no progress, and only the end of the process frees its device.
    Stalled,
}

/// An order to the caller.
pub enum Action {
    /// Say hello on the new connection.
    Greet(Hello),
    /// Send a heartbeat.
    Beat(Heartbeat),
    /// Copy a message to disk. Sending it does not wait for that.
    Spool(WorkerMessage),
    /// Drop the copies of messages up to this number.
    Forget(u64),
    /// Forget the predecessors: the coordinator has durably recorded their end.
    ForgetPredecessors(WorkerId),
    /// Fetch what an attempt needs, and hand it to the training thread.
    Prepare(Box<Assignment>),
    /// Stop an attempt, wherever it is. Its end is reported as an event.
    Stop(AttemptKey, Stop),
    /// Store a checkpoint, after those taken before it.
    Store {
        /// The attempt.
        key: AttemptKey,
        /// Steps done.
        step: u64,
        /// Whether it is the stage's last.
        is_last: bool,
        /// The checkpoint's content.
        blobs: PendingBlobs,
    },
    /// Use this storage and heartbeat interval from now on.
    Configure {
        /// The interval between heartbeats.
        heartbeat_interval: std::time::Duration,
        /// The storage that the welcome named.
        storage: Offer,
    },
    /// Say goodbye and end: nothing is left to do or to send.
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
