//! Incoming connections: how many there may be, how long one may stay without making a call, and which has to go when there
//! are too many.
//!
//! [`Register`] is a value that decides. [`Gate`] holds one and passes accepted connections by it, below any encryption;
//! [`CountCalls`] tells the gate, above encryption, of the calls that are made. A connection that has made no call is the
//! first to make room for a new one, starting with the address that has the most of them. A connection between calls is
//! next. One with a call in progress, such as a worker's session, never has to go.

mod accepted;
mod calls;
mod gate;
mod limits;
mod register;

pub(crate) use accepted::{Accepted, Identity, Peer, tcp, unix, within_limits};
pub(crate) use calls::CountCalls;
pub use gate::ConnectionCounts;
pub(crate) use gate::{Connection, Gate};
pub use limits::ServerLimits;
pub(crate) use register::{Arrival, Register};
