//! Pools: workers that the coordinator starts itself. So far there is one kind, processes on this machine.
//!
//! Each worker has a slot. A process that ends is reported once it is reaped, for only then is its device free, and
//! another one takes its slot under a new id, after a wait that grows as long as it does not help. The pool holds the
//! standard input of its workers: when that closes they checkpoint and go, even if the pool was killed.
//!
//! Knows of a worker no more than its arguments, its standard input, and one exit code.

mod backoff;
mod last_words;
mod local;
mod process;
mod slot;

pub use local::{LocalPool, LocalPoolOptions, WorkersGone};
pub use process::PoolError;
pub use slot::PoolEvent;
