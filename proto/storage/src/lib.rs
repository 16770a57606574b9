//! The storage of `datasets/` and `checkpoints/`, which the coordinator and all its workers share.
//!
//! [`Storage`] opens it by its address, the same way for everybody. A [marker](StorageId) at its root tells one storage from
//! another, and from the empty folder that is left where a file system is not mounted. [`prove`] shows that a process sees
//! the storage it is meant to see, and can write to it.
//!
//! Knows nothing of what is stored, nor of the wire.

mod address;
mod marker;
mod open;
mod proof;

pub use address::{AddressError, address_of};
pub use marker::{MARKER, StorageId};
pub use open::{Storage, StorageError};
pub use proof::{ProofError, prove};
