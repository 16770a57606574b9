//! Storages in buckets of object stores.
//!
//! [`open()`] builds a client from an address and the environment. What the client lacks stands around it: `client` ends
//! requests that make no progress, `parts` sends large objects in parts, `explain` says what to do about an error, and `store`
//! is all of that as one object store.

mod client;
mod environment;
mod explain;
mod open;
mod parts;
mod store;

use std::time::Duration;

pub use environment::EnvironmentError;
pub(crate) use open::{OpenError, open};

/// How objects are transferred.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// Objects larger than this are sent in parts of this size. Services ask for at least 5 MiB.
    pub part_bytes: usize,
    /// Parts of one object that are sent at the same time.
    pub parts_at_once: usize,
    /// How long it may take to open a connection.
    pub connect: Duration,
    /// How long a response may pause once it has begun.
    pub read: Duration,
    /// How long a request may make no progress, while it is sent and until its response begins.
    pub stall: Duration,
    /// How often a request, and then a part, is repeated if the service does not answer. Whoever waits for longer, as workers
    /// and coordinators do, begins again after that.
    pub retries: usize,
    /// The wait after the first failure. It doubles with each of them.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
}

impl Default for Transfer {
    fn default() -> Self {
        Self {
            part_bytes: 16 << 20,
            parts_at_once: 4,
            connect: Duration::from_secs(10),
            read: Duration::from_secs(30),
            stall: Duration::from_secs(60),
            retries: 4,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(5),
        }
    }
}
