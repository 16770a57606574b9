//! The pools, as the services see them: requests to the task that keeps them, and the latest view.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::BatchOptions;
use super::error::BatchError;
use super::keeper::Keeper;
use super::pool::Kept;
use super::settings::Settings;
use super::system::Grounds;
use super::view::{BatchPoolView, Seen};
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
    pub(crate) view: BatchPoolView,
    /// What the batch system says of such a job.
    pub(crate) said: String,
    /// The script or manifest of an allocation.
    pub(crate) script: String,
}

pub(super) enum Request {
    Add { name: String, settings: Box<Settings>, reply: oneshot::Sender<Result<Added, BatchError>> },
    Change { name: String, change: Change, reply: oneshot::Sender<Result<BatchPoolView, BatchError>> },
}

/// What surrounds the pools of a coordinator.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) grounds: Grounds,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) driver: DriverHandle,
}

/// The pools of batch jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct BatchPools {
    views: watch::Receiver<Seen>,
    /// None in a coordinator that keeps no pools.
    requests: Option<mpsc::Sender<Request>>,
}

impl BatchPools {
    /// Keeps the pools of the store until the coordinator stops. Their jobs outlive it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn start(surroundings: Surroundings, stop: CancellationToken) -> Result<Self, StoreError> {
        let alarm = surroundings.driver.alarm().clone();
        let (publish, views) = watch::channel(Seen { at: Instant::now(), pools: Vec::new() });
        let (requests, received) = mpsc::channel(WAITING);
        let keeper = Keeper::new(surroundings, received, publish).await?;
        alarm.spawn("the keeper of the pools of batch jobs", keeper.keep(stop));
        Ok(Self { views, requests: Some(requests) })
    }

    /// Only shows the pools of the store, as they were added: nobody asks a batch system.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn look(store: &dyn Store) -> Result<Self, StoreError> {
        let allocations = store.allocations().await?;
        let (options, dial) = (BatchOptions::default(), String::new());
        let grounds = Grounds { options, dial, folders: PathBuf::new(), program: PathBuf::new() };
        let rows = store.pools().await?.into_iter();
        let restored = rows.filter_map(|row| Kept::restore(row, &allocations, &grounds).ok());
        let now = super::keeper::now();
        let view = |kept: Kept| {
            let idle = "no coordinator keeps the pool: start `windtunnel serve`".to_owned();
            BatchPoolView { idle, ..kept.view(now) }
        };
        let (_, views) = watch::channel(Seen { at: Instant::now(), pools: restored.map(view).collect() });
        Ok(Self { views, requests: None })
    }

    /// The pools, by name, as they were when a batch system or a worker was heard last; ages are those of now.
    pub(crate) fn list(&self) -> Vec<BatchPoolView> {
        self.views.borrow().as_of_now()
    }

    /// Adds a pool, once its batch system has accepted a job like those of the pool, which is not submitted.
    pub(crate) async fn add(&self, name: String, settings: Settings) -> Result<Added, BatchError> {
        settings.check(&name)?;
        self.ask(|reply| Request::Add { name, settings: Box::new(settings), reply }).await
    }

    pub(crate) async fn change(&self, name: String, change: Change) -> Result<BatchPoolView, BatchError> {
        self.ask(|reply| Request::Change { name, change, reply }).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, BatchError>>) -> Request,
    ) -> Result<T, BatchError> {
        let requests = self.requests.as_ref().ok_or(BatchError::NotServing)?;
        let (reply, answer) = oneshot::channel();
        requests.send(request(reply)).await.map_err(|_| BatchError::Stopping)?;
        answer.await.map_err(|_| BatchError::Stopping)?
    }
}
