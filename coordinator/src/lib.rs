//! The coordinator: the shell around the scheduler.
//!
//! [`Coordinator::start`] locks a data directory, restores the scheduler from the log in its store, and listens for workers
//! and people. One task, the driver, takes in everything that happens, asks the scheduler what follows, commits that in one
//! transaction, and only then sends it.
//!
//! ```text
//! workers --> grpc/session ----------+               +--> store (commit first)
//! people  --> grpc/campaigns --> api +--> driver <---+--> sessions, answers (send second)
//! pools   ---------------------------+       |
//!                                        scheduler
//! ```
//!
//! Deliberately knows nothing of tensors, of how a stage is trained, or of recipes beyond expanding one. Start reading
//! with `driver`, then `api`.

mod api;
mod auth;
mod clock;
mod copying;
mod counters;
mod datasets;
mod doctor;
mod driver;
mod grpc;
mod home;
mod incoming;
mod lock;
mod metrics;
mod orphans;
mod passing;
pub mod pools;
mod socket;
mod start;
pub mod store;
mod tasks;
mod tls;
mod uploads;
mod verify;

/// The file of the store, in the data directory.
pub const STORE_FILE: &str = "store.sqlite";

pub use auth::{ParseScopeError, Scope, TokenId, Tokens, TokensError};
#[cfg(test)]
#[path = "../../tests/support/faulty.rs"]
mod faulty;

pub use copying::{CopyError, Side, copy_store};
pub use doctor::{Check, Diagnosis, DoctorError, DoctorOptions, Problem, examine};
pub use driver::{RestoreStateError, RunError};
pub use home::{StorageRefusal, storage_address};
pub use incoming::{ConnectionCounts, ServerLimits};
pub use lock::{LiveCoordinator, LockError, locate};
pub use pools::slurm::is_withheld as is_withheld_from_slurm;
pub use pools::{BatchOptions, LocalPool, LocalPoolOptions, Waits, WorkersGone};
pub use scheduler::Settings;
pub use socket::SocketError;
pub use start::{AnnounceError, Coordinator, CoordinatorOptions, Handle, StartError};
pub use tasks::Panicked;
pub use tls::{TlsError, TlsFiles};
pub use uploads::UploadLimits;
pub use verify::Verification;
