//! What an operator may set.

use std::time::Duration;

/// Durations the decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an attempt lives after the last sign of life from its worker.
    pub lease_duration: Duration,
    /// How often workers are told to send a heartbeat. Several fit into a lease.
    pub heartbeat_interval: Duration,
    /// How long the attempts that ran when the coordinator stopped may take to re-attach to the next one.
    pub restart_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self::with_lease(Duration::from_secs(30))
    }
}

impl Settings {
    /// The usual settings with a lease of this length, and what depends on it.
    #[must_use]
    pub fn with_lease(lease_duration: Duration) -> Self {
        Self { lease_duration, heartbeat_interval: lease_duration / 6, restart_grace: 2 * lease_duration }
    }
}
