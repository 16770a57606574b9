//! The worker's side of the session: what it has in hand, what it says of it, and to whom.
//!
//! [`Session`] is a value: `handle(event) -> actions`, with no clock, no I/O and no threads. [`link`] keeps a connection
//! to the coordinator and knows nothing of what goes over it. The caller, the worker's shell, brings both together: it
//! makes events of what arrives and performs the actions.
//!
//! A connection that breaks changes nothing but the place in the queue: training goes on, and after the next welcome
//! everything that was not acknowledged is sent again.

mod event;
pub mod link;
mod state;
mod wire;

pub use event::{Action, Assignment, Event, Lost, Received, Unprepared};
pub use state::{Identity, Session};
pub use wire::{WireError, decode};
