//! Pools whose allocations outlive the coordinator, as rows.

/// A pool, as it was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRow {
    pub name: String,
    /// What starts its workers: `slurm`.
    pub kind: String,
    /// How the names of its allocations begin, in hexadecimal.
    pub mark: String,
    /// `active`, `paused`, `draining` or `removing`.
    pub mode: String,
    /// Why it is in that mode, for people; may be empty.
    pub reason: String,
    /// What was asked for, as JSON.
    pub settings: String,
}

/// A submission: committed before it is made, and gone once its job is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllocationRow {
    /// 32 hexadecimal digits.
    pub allocation: String,
    pub pool: String,
    /// In milliseconds since 1970.
    pub intended_at_ms: u64,
    /// The batch system's number of the job; `None` while its answer is not known.
    pub job: Option<u64>,
}

/// A change of pools and their allocations. Each is a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolChange {
    /// Adds the pool, or replaces the one of its name.
    SetPool(PoolRow),
    /// Removes the pool of this name, and the rows of its allocations.
    RemovePool(String),
    /// Adds the allocation, or replaces it.
    SetAllocation(AllocationRow),
    /// Removes the allocation, if it is there.
    RemoveAllocation(String),
}
