//! The fence: whether a report under an attempt counts.

/// What a report under an attempt is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The attempt is this worker's and still runs: the report counts.
    Current,
    /// The attempt settled its stage: the report was heard before, and is acknowledged again without being written again.
    Settled,
    /// The attempt is over, or never was: the report is dropped.
    Stale,
}
