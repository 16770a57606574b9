//! Pools, for people.

use tokio::time::Instant;

use super::settings::Settings;

/// The pools as they were at some time.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) pools: Vec<BatchPoolView>,
}

impl Seen {
    /// The pools, with what has become older since.
    pub(super) fn as_of_now(&self) -> Vec<BatchPoolView> {
        let since = self.at.elapsed().as_secs();
        let mut pools = self.pools.clone();
        for pool in &mut pools {
            pool.avoided.iter_mut().for_each(|(_, seconds)| *seconds = seconds.saturating_sub(since));
            for known in &mut pool.allocations {
                known.age_seconds += since;
                known.left_seconds = known.left_seconds.map(|left| left.saturating_sub(since));
            }
        }
        pools
    }
}

/// A pool and its allocations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchPoolView {
    pub(crate) name: String,
    /// `active`, `paused`, `draining` or `removing`.
    pub(crate) mode: String,
    /// Why it is in that mode; may be empty.
    pub(crate) reason: String,
    pub(crate) settings: Settings,
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
    /// The batch system's number, once it is known.
    pub(crate) job: Option<u64>,
    /// `submitting`, `pending`, `running` or `cancelled`.
    pub(crate) state: &'static str,
    /// Why it waits, in the batch system's word.
    pub(crate) reason: String,
    pub(crate) node: String,
    pub(crate) age_seconds: u64,
    pub(crate) left_seconds: Option<u64>,
    /// Its connected workers, and whether each has work.
    pub(crate) workers: Vec<(String, bool)>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pools::slurm::sample;

    #[tokio::test(start_paused = true)]
    async fn ages_are_those_of_now_and_not_of_the_last_look() {
        let known = AllocationView {
            allocation: String::new(),
            job: Some(7),
            state: "running",
            reason: String::new(),
            node: String::new(),
            age_seconds: 5,
            left_seconds: Some(60),
            workers: Vec::new(),
        };
        let pool = BatchPoolView {
            name: "gpu".to_owned(),
            mode: "active".to_owned(),
            reason: String::new(),
            settings: Settings::Slurm(sample()),
            folder: String::new(),
            ready: 0,
            idle: String::new(),
            allocations: vec![known],
            avoided: vec![("n1".to_owned(), 30)],
        };
        let seen = Seen { at: Instant::now(), pools: vec![pool] };
        tokio::time::advance(Duration::from_secs(40)).await;
        let pools = seen.as_of_now();
        let known = &pools[0].allocations[0];
        assert_eq!((known.age_seconds, known.left_seconds), (45, Some(20)));
        assert_eq!(pools[0].avoided, [("n1".to_owned(), 0)]);
    }
}
