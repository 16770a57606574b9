//! Options shared by several commands, and the parsing of numbers.
//!
//! Options of a single command are defined with that command.

mod campaign;
mod checkpoint;
mod compute;
mod coordinator;
mod credentials;
mod fitting;
mod global;
mod listen;
pub(crate) mod numbers;

pub(crate) use campaign::campaign;
pub(crate) use checkpoint::CheckpointArgs;
pub(crate) use compute::{Compute, Downloads, Leaving, OwnWorkers, TrainingArgs};
pub(crate) use coordinator::{Asked, CoordinatorArgs};
pub(crate) use credentials::CredentialArgs;
pub(crate) use fitting::{CountArgs, FitArgs, LawArgs, LossArgs, TableArgs};
pub(crate) use global::Global;
pub(crate) use listen::listen;
