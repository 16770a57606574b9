//! Attempts: a stage's key and a number.

use vocabulary::{Attempt, AttemptKey};

use super::{ConvertError, Problem, id};
use crate::v1;

impl From<AttemptKey> for v1::AttemptRef {
    fn from(AttemptKey { stage, attempt }: AttemptKey) -> Self {
        Self { stage: stage.to_string(), attempt: attempt.0 }
    }
}

impl TryFrom<&v1::AttemptRef> for AttemptKey {
    type Error = ConvertError;

    /// Attempts count from 1.
    fn try_from(reference: &v1::AttemptRef) -> Result<Self, ConvertError> {
        let stage = id("stage", &reference.stage)?;
        if reference.attempt == 0 {
            return Err(ConvertError::new("attempt", Problem::NotPositive));
        }
        Ok(Self { stage, attempt: Attempt(reference.attempt) })
    }
}

/// Reads the attempt that a message is about.
///
/// # Errors
/// If it is missing, its stage is not a key, or its number is zero.
pub fn attempt(field: &str, value: Option<v1::AttemptRef>) -> Result<AttemptKey, ConvertError> {
    let value = value.ok_or_else(|| ConvertError::new(field, Problem::Missing))?;
    AttemptKey::try_from(&value).map_err(|error| error.within(field))
}

/// Reads a list of attempts; an error names the position in it.
///
/// # Errors
/// If one of them is not sound.
pub fn attempts(field: &str, values: Vec<v1::AttemptRef>) -> Result<Vec<AttemptKey>, ConvertError> {
    let read = |(index, value)| attempt(&format!("{field}[{index}]"), Some(value));
    values.into_iter().enumerate().map(read).collect()
}
