//! Why runs have no batch-size law.

/// What keeps a batch-size law from being fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// A number that cannot be one.
    #[error("run {index} ({size}) has {quantity} = {value}: it must be finite and above zero")]
    BadRun {
        /// Which run, counted from 0.
        index: usize,
        /// The size it names.
        size: String,
        /// `n`, `batch`, `tokens` or `loss`.
        quantity: &'static str,
        /// What it holds.
        value: f64,
    },
    /// A curve that goes back.
    #[error("the curve of run {index} ({size}) is not in ascending order of tokens")]
    Unordered {
        /// Which run, counted from 0.
        index: usize,
        /// The size it names.
        size: String,
    },
    /// A loss to compare at that is none.
    #[error("{value} is no loss to compare batch sizes at: it must be finite and above zero")]
    BadLevel {
        /// What it was.
        value: f64,
    },
    /// No size has enough batch sizes.
    #[error("no size was trained at {needed} batch sizes or more; the most are {found}")]
    TooFewBatches {
        /// The most that one size has.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Too few losses at which one of the measured batch sizes is neither too small nor too large.
    #[error(
        "{found} of {levels} losses have a best batch between those measured, at {distinct} different losses: a law needs {needed}{why}"
    )]
    TooFewMinima {
        /// How many have one.
        found: usize,
        /// How many were looked at.
        levels: usize,
        /// Different losses among those.
        distinct: usize,
        /// How many there must be.
        needed: usize,
        /// What keeps the others from it, in words, or nothing.
        why: String,
    },
}
