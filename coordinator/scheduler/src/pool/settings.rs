//! What an operator may set of a pool.

use std::time::Duration;

use vocabulary::Backoff;

/// Bounds and waits of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Allocations that are kept whatever the demand.
    pub min: u32,
    /// Allocations at most.
    pub max: u32,
    /// How long a worker may be idle before its allocation is released; `None` means never.
    pub idle_time: Option<Duration>,
    /// Device memory of each allocation in bytes, if known.
    pub memory_bytes: Option<u64>,
    /// The wait before an allocation that ended is replaced.
    pub backoff: Backoff,
    /// An allocation that lived this long did not end early: the waits begin anew.
    pub sound_life: Duration,
}

impl PoolSettings {
    /// A pool that always has so many allocations.
    #[must_use]
    pub fn fixed(size: u32, backoff: Backoff, sound_life: Duration) -> Self {
        Self { min: size, max: size, idle_time: None, memory_bytes: None, backoff, sound_life }
    }
}
