//! A running coordinator.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

use super::announced::Announced;
use crate::driver::input::Input;
use crate::driver::{Driver, DriverHandle, RunError};
use crate::incoming::{ConnectionCounts, Gate};
use crate::lock::DataDirLock;
use crate::pools::{LocalPool, LocalPoolOptions, PoolError, PoolEvent, WorkersGone};
use crate::socket::SocketFile;
use crate::store::{Store, StoreError};
use crate::tasks::{Alarm, caught};

/// How long streams may take to end once they were told to.
const SERVER_GRACE: Duration = Duration::from_secs(3);

/// How the driver ended. Several callers may wait for it.
pub(super) type Outcome = Result<(), Arc<RunError>>;

/// A running coordinator. Dropping it ends it, without waiting.
#[derive(Debug)]
pub struct Handle {
    pub(super) url: String,
    pub(super) public_url: String,
    pub(super) metrics_url: Option<String>,
    pub(super) address: SocketAddr,
    pub(super) storage: String,
    pub(super) driver_handle: DriverHandle,
    pub(super) pools: Mutex<Vec<LocalPool>>,
    pub(super) outcome: watch::Receiver<Option<Outcome>>,
    /// Ends the driver and all streams, on drop at the latest.
    pub(super) stop: DropGuard,
    /// Ends the server, likewise.
    pub(super) close: DropGuard,
    /// Ends the connections, likewise.
    pub(super) cut: DropGuard,
    pub(super) gate: Arc<Gate>,
    pub(super) driver: JoinHandle<()>,
    pub(super) server: JoinHandle<()>,
    pub(super) store: Arc<dyn Store>,
    pub(super) announced: Option<Announced>,
    /// None where it only reads.
    pub(super) socket: Option<SocketFile>,
    pub(super) lock: Option<DataDirLock>,
}

impl Handle {
    /// The address to dial from this machine: of a socket that only its owner's processes can open.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address to dial from other machines.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Where its metrics are, if they are served.
    #[must_use]
    pub fn metrics_url(&self) -> Option<&str> {
        self.metrics_url.as_deref()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counts of the connections to its public address.
    #[must_use]
    pub fn connections(&self) -> ConnectionCounts {
        self.gate.counts()
    }

    /// The root of the storage that holds `datasets/` and `checkpoints/`, as an address.
    #[must_use]
    pub fn storage(&self) -> &str {
        &self.storage
    }

    /// Starts worker processes on this machine. They end with the coordinator.
    ///
    /// # Errors
    /// If one of them cannot be started. The others are ended then.
    pub async fn start_workers(&self, options: LocalPoolOptions) -> Result<(), PoolError> {
        let (events, received) = mpsc::channel(64);
        let demand = self.driver_handle.demand().await;
        let pool = LocalPool::start(options, &self.url, demand, events).await?;
        let alarm = self.driver_handle.alarm();
        let passed_on = pass_on(received, pool.gone(), self.driver_handle.inputs().clone(), alarm.clone());
        alarm.spawn("the reader of a pool's events", passed_on);
        self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(pool);
        Ok(())
    }

    /// Resolves once every worker that was started here has failed for good; pends otherwise, and where none was started.
    /// Workers from elsewhere may still dial.
    pub async fn workers_gone(&self) -> WorkersGone {
        let gone = |pools: &Mutex<Vec<LocalPool>>| {
            let pools = pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            join_all(pools.iter().map(LocalPool::gone))
        };
        match gone(&self.pools).await.pop() {
            Some(last) => last,
            None => std::future::pending().await,
        }
    }

    /// Waits until the coordinator ends: by [`Handle::shutdown`], or because of an error.
    ///
    /// # Errors
    /// The error that ended it.
    pub async fn wait(&self) -> Result<(), Arc<RunError>> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ok(())),
            Err(_) => Err(Arc::new(RunError::Dropped)),
        }
    }

    /// Ends it: its workers write their checkpoints and leave, streams end, and the data directory is free afterwards.
    pub async fn shutdown(self) {
        // Who looks for it from now on is to wait for the next one.
        drop(self.announced);
        // A driver that has ended hands out nothing either.
        let _ = self.driver_handle.inputs().send(Input::Draining).await;
        let pools = std::mem::take(&mut *self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        // The driver runs meanwhile, so their last checkpoints are committed.
        for pool in pools {
            pool.stop().await;
        }
        drop(self.stop);
        let _ = self.driver.await;
        drop(self.close);
        let mut server = self.server;
        if tokio::time::timeout(SERVER_GRACE, &mut server).await.is_err() {
            // Some client did not finish its call.
            drop(self.cut);
            server.abort();
            let _ = server.await;
        }
        self.store.close().await;
        drop(self.socket);
        drop(self.lock);
    }
}

/// Runs the driver to its end, which is that of its term at the latest.
pub(super) async fn drive(
    driver: Driver,
    over: impl Future<Output = StoreError>,
    stop: CancellationToken,
    ended: watch::Sender<Option<Outcome>>,
) {
    let driven = async {
        tokio::select! {
            biased;
            outcome = driver.run(stop.clone()) => outcome,
            error = over => Err(RunError::Commit(error)),
        }
    };
    let outcome = caught("the coordinator", driven).await;
    let outcome = outcome.unwrap_or_else(|panicked| Err(RunError::Panicked(panicked)));
    if let Err(error) = &outcome {
        error!(error = error as &dyn std::error::Error, "the coordinator stops on an error");
    }
    // Streams end with the driver, however that ended.
    stop.cancel();
    ended.send_replace(Some(outcome.map_err(Arc::new)));
}

/// Tells the driver which of a pool's processes have ended, and when no other will follow.
async fn pass_on(
    mut events: mpsc::Receiver<PoolEvent>,
    gone: impl Future<Output = WorkersGone> + Send,
    inputs: mpsc::Sender<Input>,
    alarm: Alarm,
) {
    let (mut gone, mut is_told) = (pin!(gone), false);
    loop {
        let input = tokio::select! {
            event = events.recv() => match event {
                Some(PoolEvent::WorkerExited { worker_id }) => Input::WorkerGone { worker: worker_id },
                Some(PoolEvent::KeeperPanicked(panicked)) => return alarm.raise(panicked),
                None => return,
            },
            gone = &mut gone, if !is_told => {
                is_told = true;
                Input::PoolGone { why: gone.to_string() }
            }
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}
