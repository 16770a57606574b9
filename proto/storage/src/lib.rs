//! The storage of `datasets/` and `checkpoints/`, which the coordinator and all its workers share.
//!
//! [`Storage`] opens it by its address, the same way for everybody. A [marker](StorageId) at its root tells one storage from
//! another, and from the empty folder that is left where a file system is not mounted. [`prove`] shows that a process sees
//! the storage it is meant to see, and can write to it.
//!
//! A storage is a folder or a bucket of an object store. The module `bucket` holds what a bucket needs beyond its client: requests that
//! end if they stand still, objects in parts, and errors that say what to do.
//!
//! Knows nothing of what is stored, nor of the wire.

mod address;
mod bucket;
mod marker;
mod open;
mod proof;

pub use address::{AddressError, Service, address_of};
pub use bucket::{EnvironmentError, Transfer};
pub use marker::{MARKER, StorageId};
pub use open::{Storage, StorageError};
pub use proof::{ProofError, prove};
