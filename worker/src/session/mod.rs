//! The worker's side of the session: what it holds, what it reports about it, and to whom.
//!
//! [`Session`] is a value: `handle(event) -> actions`, without clocks, I/O or threads. [`link`] keeps a connection to
//! the coordinator and knows nothing about its content. The caller, the worker's shell, connects the two: it turns what
//! arrives into events and performs the actions.
//!
//! A broken connection changes only the position in the queue: training continues, and after the next welcome every
//! unacknowledged message is sent again.

mod event;
pub mod link;
mod state;
mod wire;

pub use event::{Action, Assignment, Event, Lost, Offer, Received, Unprepared};
pub use state::{Identity, Session};
pub(crate) use wire::Unnumbered;
pub use wire::{WireError, decode};
