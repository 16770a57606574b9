//! Settings of the scheduler.

use std::time::Duration;

/// Durations that decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an attempt lives after its worker's last sign of life.
    pub lease_duration: Duration,
    /// Interval at which workers send heartbeats. Several fit into a lease.
    pub heartbeat_interval: Duration,
    /// Time for attempts that were running when the coordinator stopped to re-attach to the next one.
    pub restart_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self::with_lease(Duration::from_secs(30))
    }
}

impl Settings {
    /// The default settings with this lease, and everything derived from it.
    #[must_use]
    pub fn with_lease(lease_duration: Duration) -> Self {
        Self { lease_duration, heartbeat_interval: lease_duration / 6, restart_grace: 2 * lease_duration }
    }
}
