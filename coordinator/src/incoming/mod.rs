//! The connections that come in: how many there may be, for how long without making a call, and which has to go when there
//! are too many.
//!
//! [`Register`] decides and is a value. [`Gate`] holds one, takes accepted connections past it below any encryption,
//! and [`CountCalls`] tells it, above, of the calls that are made. A connection that has made no call yet is worth the
//! least: it gives way to newer ones, of the address first that has the most of them. One between calls gives way next. One
//! with a call under way, as a worker's session is, never does.

mod accepted;
mod calls;
mod gate;
mod limits;
mod register;

pub(crate) use accepted::{Peer, tcp, within_limits};
pub(crate) use calls::CountCalls;
pub use gate::ConnectionCounts;
pub(crate) use gate::{Connection, Gate};
pub use limits::ServerLimits;
pub(crate) use register::{Arrival, Register};
