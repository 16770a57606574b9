//! Which attempt at which stage: what everything between worker and coordinator is said about.

use std::fmt;

use proto::v1;
use recipes::id::ParseIdError;
use recipes::{Attempt, StageKey};

/// A stage, and the number of an attempt at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The stage.
    pub stage: StageKey,
    /// Which attempt at it.
    pub attempt: Attempt,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stage.short(), self.attempt)
    }
}

impl From<AttemptKey> for v1::AttemptRef {
    fn from(key: AttemptKey) -> Self {
        Self { stage: key.stage.to_string(), attempt: key.attempt.0 }
    }
}

impl TryFrom<&v1::AttemptRef> for AttemptKey {
    type Error = ParseIdError;

    fn try_from(reference: &v1::AttemptRef) -> Result<Self, ParseIdError> {
        Ok(Self { stage: reference.stage.parse()?, attempt: Attempt(reference.attempt) })
    }
}
