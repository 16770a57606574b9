//! How many workers a pool should have.
//!
//! A pool starts workers in *allocations*: a process on this machine, or a job of a batch system. The caller keeps
//! [`Allocations`], feeds it what the pool observes, and asks [`scale()`] what to submit and what to release:
//!
//! ```text
//! Scheduler::demand --+
//!                     +--> scale --> orders --> the pool --> observations --+
//! Allocations --------+                                                     |
//!     ^---------------------------------------------------------------------+
//! ```
//!
//! Allocations are what the pool says they are. After a restart the first observation brings back all that are alive, so
//! none is forgotten and none is submitted twice. Jobs of a batch system are different: see [`batch`].

mod allocation;
pub mod batch;
mod demand;
mod scale;
mod settings;

pub use allocation::{AllocationNumber, AllocationState, Allocations, Ending, Seen};
pub use demand::Demand;
pub use scale::{Order, scale};
pub use settings::PoolSettings;
