//! Surgery: what is done once to the checkpoint of a stage's parent, before the stage's first step.
//!
//! A surgery has two halves that have to agree. [`Surgery::model`] in the vocabulary says what becomes of the model's spec,
//! and plans are made by it; the function here says what becomes of tensors, on the host, weights and the optimiser's moments
//! alike. Each file says whether its surgery preserves the function that the model computes.
//!
//! A checkpoint of the stage itself is never operated on: whoever starts from one says so by
//! [`Origin::Own`](crate::Origin::Own).

mod untie;

use std::collections::BTreeMap;

use vocabulary::{Surgery, SurgeryError};

use crate::snapshot::{Description, Snapshot};
pub(crate) use untie::{EMBEDDING, HEAD};

/// Why a checkpoint cannot be operated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {surgery} the model of the parent's checkpoint")]
pub struct OperationError {
    /// What was to be done to it.
    pub surgery: Surgery,
    /// Why that cannot be done.
    #[source]
    pub source: SurgeryError,
}

/// The parent's checkpoint after these surgeries, in this order.
///
/// What the parent recorded of its last step is dropped: it is of other parameters. The first step after a surgery is
/// compared with nothing, like the first of a run.
pub(crate) fn operate(surgery: &[Surgery], parent: &Snapshot) -> Result<Snapshot, OperationError> {
    let mut snapshot = Snapshot { recorded: BTreeMap::new(), ..parent.clone() };
    for &surgery in surgery {
        let failed = |source| OperationError { surgery, source };
        if let Some(Description { model, .. }) = &mut snapshot.description {
            *model = surgery.model(model).map_err(failed)?;
        }
        match surgery {
            Surgery::Untie => untie::untie(&mut snapshot).map_err(failed)?,
        }
    }
    Ok(snapshot)
}
