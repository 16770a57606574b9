//! How much load a server accepts.

use std::time::Duration;

/// File descriptors kept for everything but connections: the store, the storage, workers' pipes.
const DESCRIPTORS_KEPT: u64 = 256;

/// Limits on what clients can make a coordinator hold, whoever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time. Fewer if the process may open only few files.
    pub connections: usize,
    /// Sessions of workers at a time.
    pub sessions: usize,
    /// Calls at a time over one connection.
    pub streams_per_connection: u32,
    /// How long a connection may last without making a call.
    pub first_call: Duration,
    /// How long a session may last without a hello.
    pub hello: Duration,
    /// How long a call may take until its answer, or the first part of a streamed one.
    pub answer: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            sessions: 4096,
            streams_per_connection: 64,
            first_call: Duration::from_secs(10),
            hello: Duration::from_secs(10),
            answer: Duration::from_secs(60),
        }
    }
}

impl ServerLimits {
    /// Fits the limits to the descriptors of this process, after raising their number as far as allowed.
    pub(crate) fn within_descriptors(self) -> Self {
        let wanted = self.connections as u64 + DESCRIPTORS_KEPT;
        match rlimit::increase_nofile_limit(wanted) {
            Ok(descriptors) => self.with_descriptors(descriptors),
            // Some systems have no limit on descriptors.
            Err(_) => self,
        }
    }

    /// The share of each of two listeners.
    pub(crate) fn halved(self) -> Self {
        Self { connections: (self.connections / 2).max(1), ..self }
    }

    fn with_descriptors(self, descriptors: u64) -> Self {
        let free = descriptors.saturating_sub(DESCRIPTORS_KEPT).max(descriptors / 2).max(1);
        Self { connections: self.connections.min(usize::try_from(free).unwrap_or(usize::MAX)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let with = |descriptors| ServerLimits::default().with_descriptors(descriptors).connections;
        assert_eq!([with(1 << 20), with(1024), with(256), with(0)], [4096, 768, 128, 1]);
    }
}
