//! The losses on several held-out sets.

use vocabulary::{MAX_DOMAINS, SetLoss, SetLosses};

use super::{ConvertError, Problem};
use crate::v1;

/// The losses on each held-out set, as they are sent.
#[must_use]
pub fn sent_sets(losses: &SetLosses) -> Vec<v1::SetLoss> {
    losses.as_slice().iter().map(|&SetLoss { per_token, per_byte }| v1::SetLoss { per_token, per_byte }).collect()
}

/// The losses on each held-out set, as they arrive.
///
/// # Errors
/// More sets than a dataset has domains.
pub fn sets(losses: &[v1::SetLoss]) -> Result<SetLosses, ConvertError> {
    let sets: Vec<SetLoss> =
        losses.iter().map(|&v1::SetLoss { per_token, per_byte }| SetLoss { per_token, per_byte }).collect();
    SetLosses::of(&sets)
        .ok_or_else(|| ConvertError::new("sets", Problem::TooMany { count: sets.len(), limit: MAX_DOMAINS }))
}
