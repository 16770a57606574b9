//! How much one server takes on.

use std::time::Duration;

/// Descriptors that connections leave alone: the store, the storage, workers' pipes.
const DESCRIPTORS_KEPT: u64 = 256;

/// Bounds on what clients can make a coordinator hold, whoever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time. Where a process may open few files there are fewer.
    pub connections: usize,
    /// Sessions of workers at a time.
    pub sessions: usize,
    /// Calls at a time over one connection.
    pub streams_per_connection: u32,
    /// How long a connection may last without making a call.
    pub first_call: Duration,
    /// How long a session may last without a hello.
    pub hello: Duration,
    /// How long a call may take to be answered, or to begin to be, where the answer is a stream.
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
    /// What of it this process has descriptors for, after asking for as many as it may have.
    pub(crate) fn within_descriptors(self) -> Self {
        let wanted = self.connections as u64 + DESCRIPTORS_KEPT;
        match rlimit::increase_nofile_limit(wanted) {
            Ok(descriptors) => self.with_descriptors(descriptors),
            // As on systems that count no descriptors.
            Err(_) => self,
        }
    }

    /// Of each of two doors.
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
