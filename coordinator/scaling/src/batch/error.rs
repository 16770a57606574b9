//! Why no batch-size law can be fitted.

/// Runs that have no batch-size law.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BatchError {
    /// A number that is not positive and finite.
    #[error("run {index} ({size}) has {quantity} = {value}: it must be finite and above zero")]
    BadRun {
        /// Index of the run, from 0.
        index: usize,
        /// Name of the run's size.
        size: String,
        /// `n`, `batch`, `tokens` or `loss`.
        quantity: &'static str,
        value: f64,
    },
    /// A curve whose tokens are not in order.
    #[error("the curve of run {index} ({size}) is not in ascending order of tokens")]
    Unordered {
        /// Index of the run, from 0.
        index: usize,
        /// Name of the run's size.
        size: String,
    },
    /// A loss to compare at that is not positive and finite.
    #[error("cannot compare batch sizes at a loss of {value}: it must be finite and above zero")]
    BadLevel { value: f64 },
    /// No size has enough batch sizes.
    #[error("no size was trained at {needed} batch sizes or more; the most are {found}")]
    TooFewBatches {
        /// Largest number of batch sizes of one size.
        found: usize,
        /// Number of batch sizes needed.
        needed: usize,
    },
    /// At too few losses the best batch lies between the measured ones.
    #[error(
        "{found} of {levels} losses have a best batch between those measured, at {distinct} different losses: a law needs {needed}{why}"
    )]
    TooFewMinima {
        /// Losses at which it does.
        found: usize,
        /// Losses compared.
        levels: usize,
        /// Different losses among those found.
        distinct: usize,
        /// Number of losses needed.
        needed: usize,
        /// Why the others have no best batch, as a clause to append; may be empty.
        why: String,
    },
}
