//! What a worker has to say, until the coordinator has acknowledged it.
//!
//! [`Queue`] is the truth: the messages in order, what was sent on this connection, and a bound. [`Spool`] is its copy on
//! disk, written by a thread of its own so that neither training nor the session waits for the disk. A message is sent
//! without waiting for its copy: what is lost in a crash of the process before the copy was written is an attempt of a
//! process that no longer exists.
//!
//! What processes left that have ended is read back by [`Spools::open`], and [`inherited`] makes a queue of it, which is said
//! under their identity, or [`restored`] if their successor has the same one:
//!
//! - It is a beginning of what was said, never a selection: behind a damaged record nothing is believed, in whatever
//!   file. So no end of a stage is repeated without the points before it.
//! - No number is given twice, not even after a crash of the machine: a process begins a file of its own, which is on the
//!   disk with its name before the first number of its range is given, and ranges follow the files' numbers.
//! - An attempt whose end is not in it is over with its process. If its end had been said and taken in, the coordinator
//!   refuses the second one.
//! - It stays on the disk until it is acknowledged, however many processes try to say it.
//!
//! A full or missing disk is retried from time to time, and copying resumes where it stopped; meanwhile a crash loses
//! what is not copied, and nothing else changes. The queue bounds the copy and the memory: acknowledged messages leave
//! both.
//!
//! Not promised: what is left is not noticed to lack a file that somebody removed.
//!
//! This crate deliberately knows nothing of connections, of training or of when something is sent. Start with [`Queue`].

mod log;
mod queue;
mod restore;
mod segment;
mod spool;

pub use log::{Content, LogError, Recovered, header, read_segment, record};
pub use queue::Queue;
pub use restore::{inherited, restored};
pub use spool::{Spool, SpoolError, Spools};
