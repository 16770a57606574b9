//! Mixtures, and the losses on several held-out sets.

use vocabulary::{MAX_DOMAINS, Mixture, SetLoss, SetLosses};

use super::{ConvertError, Problem};
use crate::v1;

impl From<&Mixture> for v1::Mixture {
    fn from(mixture: &Mixture) -> Self {
        let Mixture { weights, from_sequence, taken } = *mixture;
        Self { weights: weights.to_vec(), from_sequence, taken: taken.to_vec() }
    }
}

impl TryFrom<v1::Mixture> for Mixture {
    type Error = ConvertError;

    fn try_from(mixture: v1::Mixture) -> Result<Self, ConvertError> {
        let weights = each("weights", &mixture.weights)?;
        let taken = each("taken", &mixture.taken)?;
        let mixture = Self { weights, from_sequence: mixture.from_sequence, taken };
        if mixture.is_whole() {
            return Ok(mixture);
        }
        Err(ConvertError::new("weights", Problem::Range { reason: "do not add up to the whole" }))
    }
}

fn each<T: Copy + Default>(field: &str, values: &[T]) -> Result<[T; MAX_DOMAINS], ConvertError> {
    let mut all = [T::default(); MAX_DOMAINS];
    match all.get_mut(..values.len()) {
        Some(some) => some.copy_from_slice(values),
        None => {
            let problem = Problem::TooMany { count: values.len(), limit: MAX_DOMAINS };
            return Err(ConvertError::new(field, problem));
        }
    }
    Ok(all)
}

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
