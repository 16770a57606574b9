//! From the driver's messages and the views of `api` to the wire. Words and numbers come ready; nothing is decided here.

pub(super) mod parts;
mod upload;
mod view;
mod worker;

use proto::convert::sent_measurements;
use proto::v1;

pub(super) use self::worker::to_worker;
pub(super) use upload::{begun, written};
pub(super) use view::{
    cancelled, collection, curve_run, detail, evaluated, forgotten, outcome, retried, rows, status, summary, update,
    worker,
};

use crate::store::{CommittedCheckpoint, CurvePoint};

pub(super) fn checkpoint_ref(checkpoint: &CommittedCheckpoint) -> v1::CheckpointRef {
    v1::CheckpointRef {
        stage: checkpoint.stage.to_string(),
        step: checkpoint.step,
        manifest_path: checkpoint.manifest_path.clone(),
        manifest_hash: checkpoint.manifest_hash.clone(),
    }
}

pub(super) fn curve_point(point: &CurvePoint) -> v1::CurvePoint {
    let CurvePoint { step, loss, grad_norm, learning_rate, ref measurements } = *point;
    v1::CurvePoint { step, loss, grad_norm, learning_rate, measurements: sent_measurements(measurements) }
}

/// A count, as far as the wire can count.
pub(super) fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
