//! The pools, as the services see them: requests to the task that keeps them, and the latest view.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SlurmOptions;
use super::error::SlurmError;
use super::keeper::Keeper;
use super::pool::{KIND, Kept};
use super::settings::SlurmSettings;
use super::view::{Seen, SlurmPoolView};
use crate::driver::DriverHandle;
use crate::store::{Store, StoreError};

/// Requests that may wait.
const WAITING: usize = 16;

/// What a change makes of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing more is submitted.
    Pause,
    Resume,
    /// Nothing more is submitted, and what is there ends.
    Drain,
    /// The same, and then the pool is gone.
    Remove,
}

/// A pool that was added.
#[derive(Debug)]
pub(crate) struct Added {
    pub(crate) view: SlurmPoolView,
    /// What `sbatch --test-only` says of such a job.
    pub(crate) said: String,
    /// The script of an allocation.
    pub(crate) script: String,
}

pub(super) enum Request {
    Add { name: String, settings: Box<SlurmSettings>, reply: oneshot::Sender<Result<Added, SlurmError>> },
    Change { name: String, change: Change, reply: oneshot::Sender<Result<SlurmPoolView, SlurmError>> },
}

/// What surrounds the pools of a coordinator.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) options: SlurmOptions,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) driver: DriverHandle,
    /// Where workers dial, unless a pool says otherwise.
    pub(crate) dial: String,
    /// Where pools have their folders, unless a pool says otherwise.
    pub(crate) folders: PathBuf,
    /// The program that workers run, unless a pool says otherwise.
    pub(crate) program: PathBuf,
}

/// The pools of Slurm jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SlurmPools {
    views: watch::Receiver<Seen>,
    /// None in a coordinator that keeps no pools.
    requests: Option<mpsc::Sender<Request>>,
}

impl SlurmPools {
    /// Keeps the pools of the store until the coordinator stops. Their jobs outlive it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn start(surroundings: Surroundings, stop: CancellationToken) -> Result<Self, StoreError> {
        let alarm = surroundings.driver.alarm().clone();
        let (publish, views) = watch::channel(Seen { at: Instant::now(), pools: Vec::new() });
        let (requests, received) = mpsc::channel(WAITING);
        let keeper = Keeper::new(surroundings, received, publish).await?;
        alarm.spawn("the keeper of the pools of Slurm jobs", keeper.keep(stop));
        Ok(Self { views, requests: Some(requests) })
    }

    /// Only shows the pools of the store, as they were added: nobody asks Slurm.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn look(store: &dyn Store) -> Result<Self, StoreError> {
        let allocations = store.allocations().await?;
        let rows = store.pools().await?.into_iter().filter(|row| row.kind == KIND);
        let restored = rows.filter_map(|row| {
            let folders = PathBuf::new();
            Kept::restore(row, &allocations, &folders, SlurmOptions::default().settle).ok()
        });
        let now = super::keeper::now();
        let view = |kept: Kept| {
            let idle = "no coordinator keeps the pool: start `windtunnel serve`".to_owned();
            SlurmPoolView { idle, ..kept.view(now) }
        };
        let (_, views) = watch::channel(Seen { at: Instant::now(), pools: restored.map(view).collect() });
        Ok(Self { views, requests: None })
    }

    /// The pools, by name, as they were when Slurm or a worker was heard last; ages are those of now.
    pub(crate) fn list(&self) -> Vec<SlurmPoolView> {
        self.views.borrow().as_of_now()
    }

    /// Adds a pool, once `sbatch --test-only` has accepted one of its jobs.
    pub(crate) async fn add(&self, name: String, settings: SlurmSettings) -> Result<Added, SlurmError> {
        settings.check(&name)?;
        self.ask(|reply| Request::Add { name, settings: Box::new(settings), reply }).await
    }

    pub(crate) async fn change(&self, name: String, change: Change) -> Result<SlurmPoolView, SlurmError> {
        self.ask(|reply| Request::Change { name, change, reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, SlurmError>>) -> Request,
    ) -> Result<T, SlurmError> {
        let requests = self.requests.as_ref().ok_or(SlurmError::NotServing)?;
        let (reply, answer) = oneshot::channel();
        requests.send(request(reply)).await.map_err(|_| SlurmError::Stopping)?;
        answer.await.map_err(|_| SlurmError::Stopping)?
    }
}
