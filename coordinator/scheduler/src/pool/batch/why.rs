//! Why a pool asks for no allocation.

use std::fmt;

/// Why a pool submits nothing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    Paused,
    Draining,
    /// Everything that can be trained now has a worker, or an allocation that will bring one.
    NoDemand,
    /// There is something to train, and no worker of the pool has the memory for it.
    TooLarge,
    AtMost {
        max: u32,
    },
    /// As many as may wait in the queue do.
    Backlog {
        waiting: usize,
    },
    Rate {
        per_minute: u32,
    },
    /// The batch system refused the last submission.
    Refused {
        seconds: u64,
        why: String,
    },
    /// The batch system does not answer.
    Away,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paused => f.write_str("the pool is paused"),
            Self::Draining => f.write_str("the pool is draining"),
            Self::NoDemand => f.write_str("everything that is ready has a worker or a job"),
            Self::TooLarge => f.write_str("what is ready needs more memory than the pool's workers have"),
            Self::AtMost { max } => write!(f, "the pool has its maximum of {max}"),
            Self::Backlog { waiting } => write!(f, "{waiting} in the queue, as many as --backlog allows"),
            Self::Rate { per_minute } => write!(f, "{per_minute} were submitted within a minute, the limit of --rate"),
            Self::Refused { seconds, why } => write!(f, "refused, tried again in {seconds} s: {why}"),
            Self::Away => f.write_str("the batch system does not answer"),
        }
    }
}
