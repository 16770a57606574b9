//! Attempts: a stage's key and a number.

use vocabulary::{Attempt, AttemptKey, StageKey};

use super::{ConvertError, Problem, id};
use crate::v1;

impl From<(StageKey, Attempt)> for v1::AttemptRef {
    fn from((stage, attempt): (StageKey, Attempt)) -> Self {
        Self { stage: stage.to_string(), attempt: attempt.0 }
    }
}

impl From<AttemptKey> for v1::AttemptRef {
    fn from(AttemptKey { stage, attempt }: AttemptKey) -> Self {
        Self::from((stage, attempt))
    }
}

impl TryFrom<&v1::AttemptRef> for AttemptKey {
    type Error = ConvertError;

    fn try_from(reference: &v1::AttemptRef) -> Result<Self, ConvertError> {
        let (stage, attempt) = attempt_ref("attempt", Some(reference.clone()))?;
        Ok(Self { stage, attempt })
    }
}

/// Reads the attempt that a message is about. It has to be there, and attempts count from 1.
///
/// # Errors
/// If it is missing, its stage is not a key, or its number is zero.
pub fn attempt_ref(field: &str, value: Option<v1::AttemptRef>) -> Result<(StageKey, Attempt), ConvertError> {
    let value = value.ok_or_else(|| ConvertError::new(field, Problem::Missing))?;
    let stage = id("stage", &value.stage).map_err(|error| error.within(field))?;
    if value.attempt == 0 {
        return Err(ConvertError::new(format!("{field}.attempt"), Problem::NotPositive));
    }
    Ok((stage, Attempt(value.attempt)))
}
