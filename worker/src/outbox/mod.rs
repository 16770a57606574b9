//! What the coordinator has not acknowledged yet.
//!
//! [`Queue`] is the truth: the messages in order, what was sent on this connection, and a bound. [`Spool`] is its copy on
//! disk, written by a thread of its own so that neither training nor the session waits for the disk. A message is sent
//! without waiting for its copy: what is lost in a crash of the process before the copy was written is an attempt of a
//! process that no longer exists.

mod log;
mod queue;
mod restore;
mod spool;

pub use log::{LogError, Recovered, Segment};
pub use queue::Queue;
pub use restore::restored;
pub use spool::{Spool, SpoolError};
