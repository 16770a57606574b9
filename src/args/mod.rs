//! The options that several commands have, and how people write numbers.
//!
//! What only one command has stands with that command. Nothing here calls anything.

mod checkpoint;
mod compute;
mod coordinator;
mod credentials;
mod fitting;
mod global;
pub(crate) mod numbers;

pub(crate) use checkpoint::CheckpointArgs;
pub(crate) use compute::{Compute, OwnWorkers, TrainingArgs};
pub(crate) use coordinator::CoordinatorArgs;
pub(crate) use credentials::CredentialArgs;
pub(crate) use fitting::{FitArgs, LawArgs, TableArgs};
pub(crate) use global::Global;
