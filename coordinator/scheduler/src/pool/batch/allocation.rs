//! One allocation: a job of the batch system, from the intent to submit it until it is over.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::job::JobId;
use crate::time::Timestamp;

/// Names a submission before there is a job, and the job afterwards: the batch system hands it back as the job's comment.
///
/// Its first half is the pool's own mark, so that a pool recognises its jobs, whatever was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationId(pub [u8; 16]);

impl AllocationId {
    /// Of a pool's mark and a number that was drawn for it.
    #[must_use]
    pub fn of(mark: [u8; 8], drawn: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mark);
        bytes[8..].copy_from_slice(&drawn);
        Self(bytes)
    }

    /// The mark of its pool.
    #[must_use]
    pub fn mark(&self) -> [u8; 8] {
        std::array::from_fn(|byte| self.0[byte])
    }
}

impl fmt::Display for AllocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that names no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an allocation is named by 32 hexadecimal digits")]
pub struct ParseAllocationError;

impl FromStr for AllocationId {
    type Err = ParseAllocationError;

    fn from_str(text: &str) -> Result<Self, ParseAllocationError> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(ParseAllocationError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Where an allocation has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// It was, or is about to be, submitted. No answer has come.
    Intended,
    /// It waits in the queue, for this reason; empty where none was heard.
    Queued { reason: String },
    Running {
        /// Of the batch system's word of it: how long it had run, and how long it may still run.
        used: Duration,
        left: Option<Duration>,
    },
}

/// An allocation that is not over, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchAllocation {
    pub intended_at: Timestamp,
    /// Unknown while no answer has come.
    pub job: Option<JobId>,
    pub phase: Phase,
    /// The node that it runs or ran on.
    pub node: Option<String>,
    /// Whether one of its workers ever said hello.
    pub has_said_hello: bool,
    /// In how many answers of the batch system in a row it was missing.
    pub(super) misses: u32,
    /// Whether its cancellation was ordered.
    pub is_cancelled: bool,
}

impl BatchAllocation {
    pub(super) fn intended(at: Timestamp, job: Option<JobId>) -> Self {
        let phase = match job {
            Some(_) => Phase::Queued { reason: String::new() },
            None => Phase::Intended,
        };
        let (node, has_said_hello, misses, is_cancelled) = (None, false, 0, false);
        Self { intended_at: at, job, phase, node, has_said_hello, misses, is_cancelled }
    }

    /// Whether it takes no node yet.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.phase, Phase::Intended | Phase::Queued { .. })
    }

    /// Whether its time is over soon. One that has run for less than it may still run is not: with a short time limit each would
    /// be, from its beginning.
    pub(super) fn ends_soon(&self, ahead: Duration) -> bool {
        matches!(self.phase, Phase::Running { used, left: Some(left) } if left < ahead.min(used))
    }

    /// How long it had run when it was last seen to.
    pub(super) fn used(&self) -> Option<Duration> {
        match self.phase {
            Phase::Running { used, .. } => Some(used),
            Phase::Intended | Phase::Queued { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_is_its_text() {
        let allocation = AllocationId::of([0, 1, 2, 3, 4, 5, 6, 7], [0xff; 8]);
        assert_eq!(allocation.to_string(), "0001020304050607ffffffffffffffff");
        assert_eq!(allocation.to_string().parse(), Ok(allocation));
        assert_eq!(allocation.mark(), [0, 1, 2, 3, 4, 5, 6, 7]);
        for text in [
            "",
            "0001020304050607fffffffffffffff",
            "0001020304050607FFFFFFFFFFFFFFFF",
            "+001020304050607ffffffffffffffff",
        ] {
            assert_eq!(text.parse::<AllocationId>(), Err(ParseAllocationError), "{text}");
        }
    }
}
