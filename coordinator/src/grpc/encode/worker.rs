//! What workers are told.

use proto::v1::coordinator_message::Body;
use proto::v1::{self, CoordinatorMessage};
use vocabulary::AttemptKey;

use super::checkpoint_ref;
use crate::driver::interruptions::Cadence;
use crate::driver::to_worker::{Assignment, ToWorker};

/// A message to a worker.
pub(crate) fn to_worker(message: ToWorker) -> CoordinatorMessage {
    let body = match message {
        ToWorker::Welcome { heartbeat_interval, lease_duration, storage, storage_id } => Body::Welcome(v1::Welcome {
            heartbeat_interval_ms: milliseconds(heartbeat_interval),
            lease_duration_ms: milliseconds(lease_duration),
            storage,
            protocol: proto::PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            storage_id,
        }),
        ToWorker::Assignment(assigned) => Body::Assignment(assignment(&assigned)),
        ToWorker::Acknowledgement { sequence } => Body::Acknowledgement(v1::Acknowledgement { sequence }),
        ToWorker::Revocation(key) => {
            Body::Revocation(v1::Revocation { attempt: Some(key.into()), checkpoint_first: false })
        }
        ToWorker::Recall(key) => Body::Revocation(v1::Revocation { attempt: Some(key.into()), checkpoint_first: true }),
        ToWorker::Dismissal => Body::Dismissal(v1::Dismissal {}),
        ToWorker::Refusal { key, reason } => {
            Body::Refusal(v1::Refusal { attempt: Some(key.into()), reason: proto::convert::reason(&reason) })
        }
    };
    CoordinatorMessage { body: Some(body) }
}

fn assignment(assignment: &Assignment) -> v1::Assignment {
    let Assignment { work, attempt, start, cadence } = assignment;
    let Cadence { min_interval, max_interval, mean_time_between_interruptions } = *cadence;
    v1::Assignment {
        attempt: Some(AttemptKey { stage: work.key(), attempt: *attempt }.into()),
        stage: work.stage().map(Into::into),
        evaluation: work.evaluation().map(Into::into),
        start: start.as_ref().map(checkpoint_ref),
        cadence: Some(v1::Cadence {
            min_interval_ms: milliseconds(min_interval),
            max_interval_ms: milliseconds(max_interval),
            mean_time_between_losses_ms: milliseconds(mean_time_between_interruptions),
        }),
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
