//! Pools, for people.

use super::settings::SlurmSettings;

/// A pool and its allocations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlurmPoolView {
    pub(crate) name: String,
    /// `active`, `paused`, `draining` or `removing`.
    pub(crate) mode: String,
    /// Why it is in that mode; may be empty.
    pub(crate) reason: String,
    pub(crate) settings: SlurmSettings,
    pub(crate) folder: String,
    /// Stages and evaluations that could start now if there were workers for them.
    pub(crate) ready: usize,
    /// Why no allocation is asked for; empty while one is.
    pub(crate) idle: String,
    pub(crate) allocations: Vec<AllocationView>,
    /// Nodes that are kept away from, and for how many seconds yet.
    pub(crate) avoided: Vec<(String, u64)>,
}

/// An allocation and its workers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AllocationView {
    pub(crate) allocation: String,
    /// Slurm's number, once it is known.
    pub(crate) job: Option<u64>,
    /// `submitting`, `pending`, `running` or `cancelled`.
    pub(crate) state: &'static str,
    /// Why it waits, in Slurm's word.
    pub(crate) reason: String,
    pub(crate) node: String,
    pub(crate) age_seconds: u64,
    pub(crate) left_seconds: Option<u64>,
    /// Its connected workers, and whether each has work.
    pub(crate) workers: Vec<(String, bool)>,
}
