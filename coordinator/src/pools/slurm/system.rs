//! Slurm as the system of a pool.

use async_trait::async_trait;
use scheduler::pool::batch::{AllocationId, Job, JobId};
use vocabulary::text::one_line;

use super::answers::comment;
use super::commands::{self, Request};
use super::script::Script;
use super::settings::SlurmSettings;
use crate::pools::batch::{BatchError, Purpose, Submission, System, Unanswered, Waits};

/// How lines of a log begin that Slurm wrote.
const OF_SLURM: [&str; 2] = ["srun: ", "slurmstepd: "];

/// A pool of Slurm jobs.
pub(in crate::pools) struct Slurm {
    pub(in crate::pools) settings: SlurmSettings,
    pub(in crate::pools) purpose: Purpose,
}

impl Slurm {
    fn request<'a>(&'a self, allocation: AllocationId, exclude: &'a [String]) -> Request<'a> {
        let (pool, folder) = (self.purpose.pool.as_str(), &self.purpose.folder);
        Request {
            pool,
            settings: &self.settings,
            comment: comment(pool, allocation),
            folder: folder.path().display().to_string(),
            log: self.log(allocation),
            exclude,
        }
    }
}

#[async_trait]
impl System for Slurm {
    fn name(&self) -> &'static str {
        "Slurm"
    }

    fn waits(&self) -> Waits {
        self.purpose.grounds.options.slurm
    }

    /// One `squeue` for all pools of a cluster.
    fn queue_name(&self) -> String {
        format!("slurm/{}", self.settings.clusters)
    }

    fn script(&self, allocation: AllocationId) -> String {
        let Purpose { pool, folder, grounds, .. } = &self.purpose;
        let own = grounds.program.display().to_string();
        let program = if self.settings.program.is_empty() { &own } else { &self.settings.program };
        Script { pool, allocation, settings: &self.settings, folder: folder.path(), program }.text()
    }

    fn log(&self, allocation: AllocationId) -> String {
        self.purpose.folder.log(allocation).display().to_string()
    }

    /// Jobs read the folder.
    async fn equip(&self) -> Result<(), BatchError> {
        Ok(())
    }

    async fn test(&self, example: AllocationId) -> Result<String, BatchError> {
        self.request(example, &[]).test(&self.script(example), self.waits().patience).await
    }

    async fn submit(&self, allocation: AllocationId, exclude: &[String]) -> Submission {
        self.request(allocation, exclude).submit(&self.script(allocation), self.waits().patience).await
    }

    async fn queue(&self, pools: &[&str]) -> Result<Vec<Job>, Unanswered> {
        let asked = commands::queue(pools, &self.settings, self.waits().patience).await;
        asked.map_err(|error| Unanswered(one_line(&error)))
    }

    async fn cancel(&self, _: AllocationId, job: JobId) -> Result<(), Unanswered> {
        let asked = commands::cancel(job, &self.settings, self.waits().patience).await;
        asked.map_err(|error| Unanswered(one_line(&error)))
    }

    async fn last_log_line(&self, allocation: AllocationId) -> String {
        self.purpose.folder.last_log_line(allocation, &OF_SLURM)
    }

    async fn close(&self) -> Result<(), Unanswered> {
        Ok(())
    }
}
