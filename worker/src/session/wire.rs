//! What the coordinator says, from the wire into the session's words, and what is said to it without a number.

use std::time::Duration;

use proto::ConvertError;
use proto::v1::{self, CoordinatorMessage, WorkerMessage, coordinator_message::Body, worker_message};
use vocabulary::AttemptKey;
use vocabulary::id::ParseIdError;
use vocabulary::text::one_line;

use super::event::{Assignment, Offer, Received};
use crate::cadence::Cadence;
use crate::checkpoint::CheckpointRef;

/// What is said without a number: nobody acknowledges it, and it is never said again.
#[derive(Debug)]
pub(crate) enum Unnumbered {
    Hello(Box<v1::Hello>),
    Heartbeat(v1::Heartbeat),
    /// Whether the storage can be used, or why it cannot.
    StorageProof {
        trouble: Option<String>,
    },
    /// The process ends, in order or because of an error.
    Goodbye {
        in_order: bool,
    },
}

impl From<Unnumbered> for WorkerMessage {
    fn from(what: Unnumbered) -> Self {
        use worker_message::Body;
        let body = match what {
            Unnumbered::Hello(hello) => Body::Hello(*hello),
            Unnumbered::Heartbeat(heartbeat) => Body::Heartbeat(heartbeat),
            Unnumbered::StorageProof { trouble } => {
                Body::StorageProof(v1::StorageProof { trouble: trouble.unwrap_or_default() })
            }
            Unnumbered::Goodbye { in_order } => Body::Goodbye(v1::Goodbye { in_order }),
        };
        Self { sequence: 0, body: Some(body) }
    }
}

impl From<CheckpointRef> for v1::CheckpointRef {
    fn from(checkpoint: CheckpointRef) -> Self {
        let CheckpointRef { stage, step, manifest_path, manifest_hash } = checkpoint;
        Self { stage: stage.to_string(), step, manifest_path, manifest_hash: manifest_hash.to_string() }
    }
}

/// Why a message of the coordinator cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It is of a kind this version does not know.
    #[error("the message is of an unknown kind")]
    UnknownKind,
    /// The coordinator speaks another protocol, so what it says would be misread.
    #[error(
        "the coordinator is windtunnel {version} with protocol {theirs}, and this worker is windtunnel {} with protocol {}: \
         run the same version of windtunnel on both",
        env!("CARGO_PKG_VERSION"),
        proto::PROTOCOL
    )]
    Protocol {
        /// Of the coordinator's program.
        version: String,
        /// Of the coordinator.
        theirs: u32,
    },
    /// It speaks of no attempt.
    #[error("the message names no attempt")]
    NoAttempt,
    /// It speaks of an attempt at no known kind of thing.
    #[error("the message names no stage")]
    Attempt(#[source] ConvertError),
}

/// What is wrong with an assignment whose attempt is known.
#[derive(Debug, thiserror::Error)]
enum AssignmentError {
    #[error("the assignment cannot be read")]
    Work(#[from] ConvertError),
    #[error("the attempt is at {attempt}, and the assignment is of {assigned}")]
    OtherStage { attempt: String, assigned: String },
    #[error("the checkpoint to start from names no stage")]
    StartStage(#[from] ParseIdError),
    #[error("the checkpoint to start from is said to lie at {path:?}, where none of its stage does")]
    StartPath { path: String },
    #[error("the checkpoint to start from has no valid hash")]
    StartHash(#[from] blake3::HexError),
}

/// Reads a message of the coordinator.
pub fn decode(message: CoordinatorMessage) -> Result<Received, WireError> {
    match message.body.ok_or(WireError::UnknownKind)? {
        Body::Welcome(welcome) if welcome.protocol != proto::PROTOCOL => {
            // One from before there were protocols does not name its version either.
            let named = proto::convert::name("version", welcome.version).ok().filter(|version| !version.is_empty());
            let version = named.unwrap_or_else(|| "of an older version".to_owned());
            Err(WireError::Protocol { version, theirs: welcome.protocol })
        }
        Body::Welcome(welcome) => Ok(Received::Welcome {
            heartbeat_interval: Duration::from_millis(welcome.heartbeat_interval_ms.max(1)),
            storage: Offer { address: welcome.storage, id: welcome.storage_id.parse().ok() },
        }),
        Body::Assignment(message) => {
            let key = attempt(message.attempt.as_ref())?;
            Ok(match assignment(key, message) {
                Ok(assignment) => Received::Assigned(Box::new(assignment)),
                Err(error) => Received::Unusable { key, reason: one_line(&error) },
            })
        }
        Body::Acknowledgement(acknowledgement) => Ok(Received::Acknowledged(acknowledgement.sequence)),
        Body::Revocation(v1::Revocation { attempt: of, checkpoint_first }) => {
            let key = attempt(of.as_ref())?;
            Ok(if checkpoint_first { Received::Recalled(key) } else { Received::Revoked(key) })
        }
        Body::Dismissal(v1::Dismissal {}) => Ok(Received::Dismissed),
        Body::Refusal(v1::Refusal { attempt: of, reason }) => {
            Ok(Received::Refused { key: attempt(of.as_ref())?, reason: proto::convert::reason(&reason) })
        }
    }
}

fn attempt(reference: Option<&v1::AttemptRef>) -> Result<AttemptKey, WireError> {
    AttemptKey::try_from(reference.ok_or(WireError::NoAttempt)?).map_err(WireError::Attempt)
}

fn assignment(key: AttemptKey, message: v1::Assignment) -> Result<Assignment, AssignmentError> {
    let work = proto::convert::work(message.stage, message.evaluation)?;
    if work.key() != key.stage {
        return Err(AssignmentError::OtherStage { attempt: key.stage.short(), assigned: work.key().short() });
    }
    let start = message.start.map(checkpoint).transpose()?;
    let cadence = message.cadence.map_or_else(Cadence::default, cadence);
    Ok(Assignment { key, work, start, cadence })
}

fn cadence(message: v1::Cadence) -> Cadence {
    let v1::Cadence { min_interval_ms, max_interval_ms, mean_time_between_losses_ms } = message;
    Cadence {
        min_interval: Duration::from_millis(min_interval_ms),
        max_interval: Duration::from_millis(max_interval_ms),
        mean_time_between_losses: Duration::from_millis(mean_time_between_losses_ms),
    }
}

fn checkpoint(message: v1::CheckpointRef) -> Result<CheckpointRef, AssignmentError> {
    let stage = message.stage.parse()?;
    if !proto::layout::is_manifest_path(&message.manifest_path, &stage, message.step) {
        return Err(AssignmentError::StartPath { path: message.manifest_path });
    }
    Ok(CheckpointRef {
        stage,
        step: message.step,
        manifest_path: message.manifest_path,
        manifest_hash: blake3::Hash::from_hex(&message.manifest_hash)?,
    })
}
