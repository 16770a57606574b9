//! Carries out what is ordered for a pool.

use std::sync::Arc;

use scheduler::Timestamp;
use scheduler::pool::batch::{AllocationId, BatchOrder, BatchSettings};
use tracing::{error, info, warn};
use vocabulary::text::one_line;

use super::keeper::{Deposed, Keeper, now};
use super::system::Submission;
use crate::clock::unix_ms;
use crate::driver::input::Input;
use crate::store::{AllocationRow, PoolChange, PoolRow, StoreError};

impl Keeper {
    pub(super) async fn carry_out(&mut self, name: &str, order: BatchOrder) -> Result<(), Deposed> {
        match order {
            BatchOrder::Submit { exclude } => self.submit(name, &exclude).await?,
            BatchOrder::Found { allocation, job } => {
                info!(pool = name, %allocation, %job, "a job was found in the queue whose number was not known");
                self.note_job(name, allocation, job.0).await?;
            }
            BatchOrder::Cancel { job } => {
                let Some(kept) = self.pools.get(name) else { return Ok(()) };
                let Some((allocation, _)) = kept.pool.allocations().find(|(_, known)| known.job == Some(job)) else {
                    return Ok(());
                };
                info!(pool = name, %job, "a job that nothing needs is cancelled");
                if let Err(error) = kept.system.cancel(allocation, job).await {
                    warn!(pool = name, %job, error = one_line(&error), "a job cannot be cancelled");
                }
            }
            BatchOrder::Dismiss { worker } => {
                info!(pool = name, %worker, "a worker has nothing to do and is asked to go");
                // A driver that is gone dismisses nobody.
                let _ = self.surroundings.driver.inputs().send(Input::Dismissed { worker }).await;
            }
            BatchOrder::Forget { allocation, end } => {
                let Some(kept) = self.pools.get(name) else { return Ok(()) };
                let line = kept.system.last_log_line(allocation).await;
                info!(pool = name, %allocation, ?end, last_log_line = line, "an allocation is over");
                self.write(&PoolChange::RemoveAllocation(allocation.to_string())).await?;
                if let Some(kept) = self.pools.get(name) {
                    kept.folder.prune_logs();
                }
            }
            BatchOrder::Pause { allocation } => {
                let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
                let line = kept.system.last_log_line(allocation).await;
                let said =
                    if line.is_empty() { "without a log".to_owned() } else { format!("its log ends with: {line}") };
                let count = BatchSettings::STRIKES_OF_POOL;
                let log = kept.system.log(allocation);
                let reason =
                    format!("{count} allocations in a row ended before a worker said hello; the last one, {said}");
                error!(pool = name, reason, log, "a pool is paused");
                kept.row = PoolRow { mode: "paused".to_owned(), reason, ..kept.row.clone() };
                let row = kept.row.clone();
                self.write(&PoolChange::SetPool(row)).await?;
            }
        }
        Ok(())
    }

    /// Commits the intent, then submits.
    async fn submit(&mut self, name: &str, exclude: &[String]) -> Result<(), Deposed> {
        let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
        let allocation = AllocationId::of(kept.mark, rand::random());
        let (pool, intended_at_ms) = (name.to_owned(), unix_ms());
        let row = AllocationRow { allocation: allocation.to_string(), pool, intended_at_ms, job: None };
        if !self.write(&PoolChange::SetAllocation(row)).await? {
            return Ok(());
        }
        let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
        kept.pool.intended(Timestamp(intended_at_ms), allocation);
        let system = Arc::clone(&kept.system);
        // A submission may take long.
        self.publish();
        let submission = system.submit(allocation, exclude).await;
        let Some(kept) = self.pools.get_mut(name) else { return Ok(()) };
        match submission {
            Submission::Job(job) => {
                info!(pool = name, %allocation, %job, "an allocation is asked for");
                kept.pool.submitted(allocation, job);
                self.note_job(name, allocation, job.0).await?;
            }
            Submission::Refused { why } => {
                warn!(pool = name, %allocation, why, "an allocation is refused");
                kept.pool.refused(now(), allocation, why);
                self.write(&PoolChange::RemoveAllocation(allocation.to_string())).await?;
            }
            Submission::Open { why } => {
                warn!(
                    pool = name,
                    %allocation,
                    why,
                    "a submission got no answer; the queue will show whether there is a job"
                );
            }
        }
        Ok(())
    }

    async fn note_job(&mut self, name: &str, allocation: AllocationId, job: u64) -> Result<(), Deposed> {
        let known =
            self.pools.get(name).and_then(|kept| kept.pool.allocations().find(|(known, _)| *known == allocation));
        let Some((_, known)) = known else { return Ok(()) };
        let (allocation, pool) = (allocation.to_string(), name.to_owned());
        let row = AllocationRow { allocation, pool, intended_at_ms: known.intended_at.0, job: Some(job) };
        self.write(&PoolChange::SetAllocation(row)).await?;
        Ok(())
    }

    /// Writes a change; whether it is kept. What is not kept is found again in the queue.
    pub(super) async fn write(&self, change: &PoolChange) -> Result<bool, Deposed> {
        let term = self.surroundings.driver.term();
        match self.surroundings.store.change_pools(term, change).await {
            Ok(()) => Ok(true),
            Err(error @ StoreError::Deposed { .. }) => {
                error!(error = one_line(&error), "the pools are kept by another coordinator");
                Err(Deposed)
            }
            Err(error) => {
                warn!(error = one_line(&error), "what is known of a pool cannot be written");
                Ok(false)
            }
        }
    }
}
