//! Pools of Slurm jobs: the commands that ask Slurm, and what it answers.
//!
//! - Invariant: the comment of a job names its allocation, so a submission whose answer was lost is found in the queue.
//! - Invariant: nothing that a worker says reaches a command line. Job numbers come from Slurm alone.
//!
//! Only options of Slurm 20.11 are used. What Slurm says is read with a time limit and a limit on its length.

mod answers;
mod command;
mod commands;
mod script;
mod settings;
mod system;

pub use command::is_withheld;
pub(crate) use settings::SlurmSettings;
#[cfg(test)]
pub(super) use settings::sample;
pub(super) use system::Slurm;
