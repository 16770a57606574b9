//! Worker processes on this machine.
//!
//! Each has a number. A process that ends is reported once it is reaped, for only then is its device free, and another one
//! takes its number under a new identity, after a wait that grows as long as it does not help. The pool holds the standard
//! input of its workers: when that closes they checkpoint and go, even if the pool was killed. So after a restart none is
//! left, and there is nothing to remember.
//!
//! Knows of a worker no more than its arguments, its standard input, and one exit code.

mod last_log_line;
mod process;
mod processes;

use std::path::PathBuf;
use std::time::Duration;

use scheduler::pool::{Demand, PoolSettings};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info};
use vocabulary::Backoff;

use super::WorkersGone;
use super::keeper::{Keeper, PoolEvent};
pub use process::PoolError;
use process::Program;
use processes::Processes;

/// The waits before a process is started again.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(30) };

/// A process that lived this long did not fail to start: the waits begin anew.
const SOUND_LIFE: Duration = Duration::from_secs(60);

/// What to start.
#[derive(Debug, Clone)]
pub struct LocalPoolOptions {
    pub program: PathBuf,
    /// Its first arguments. The coordinator's address, the worker's name and its identity are added.
    pub args: Vec<String>,
    /// How many processes.
    pub count: usize,
    /// Where each writes its output, as `NAME.log`; made if it is not there.
    pub log_dir: PathBuf,
    /// They are called `PREFIX-1`, `PREFIX-2` and so on.
    pub name_prefix: String,
    /// How long each may take to hand back its stage when the pool is stopped. One that takes much longer is killed.
    pub grace: Duration,
}

/// Worker processes that run. They end with it: [`LocalPool::stop`] waits for that, and dropping it does not.
#[derive(Debug)]
pub struct LocalPool {
    keeper: JoinHandle<()>,
    gone: watch::Receiver<Option<WorkersGone>>,
    stop: DropGuard,
}

impl LocalPool {
    /// Starts the processes, and says on `events` when one has ended.
    ///
    /// # Errors
    /// If one of them cannot be started. The others are ended then.
    pub async fn start(
        options: LocalPoolOptions,
        coordinator_url: &str,
        demand: watch::Receiver<Demand>,
        events: mpsc::Sender<PoolEvent>,
    ) -> Result<Self, PoolError> {
        let LocalPoolOptions { program, args, count, log_dir, name_prefix, grace } = options;
        let made = tokio::fs::create_dir_all(&log_dir).await;
        made.map_err(|source| PoolError::Log { path: log_dir.clone(), source })?;
        let logs = log_dir.display().to_string();
        let coordinator_url = coordinator_url.to_owned();
        let processes = Processes::new(Program { program, args, coordinator_url, log_dir, name_prefix, grace });
        let size = u32::try_from(count).unwrap_or(u32::MAX);
        let settings = PoolSettings::fixed(size, BACKOFF, SOUND_LIFE);
        let (gone_sender, gone) = watch::channel(None);
        let mut keeper = Keeper::new(processes, settings, demand, events, gone_sender);
        keeper.begin().await?;
        info!(workers = count, logs, "local workers are started");
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keeper.keep(stop.clone()));
        Ok(Self { keeper, gone, stop: stop.drop_guard() })
    }

    /// Resolves once every worker has failed for good; pends otherwise.
    pub fn gone(&self) -> impl Future<Output = WorkersGone> + Send + use<> {
        let mut gone = self.gone.clone();
        async move {
            let gone = gone.wait_for(Option::is_some).await.ok().and_then(|gone| gone.clone());
            match gone {
                Some(gone) => gone,
                // The pool was stopped.
                None => std::future::pending().await,
            }
        }
    }

    /// Ends all processes: each may write its checkpoint, and is killed if it takes too long. Their ends are reported
    /// before this returns.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.keeper.await {
            error!(%error, "the keeper of the pool ended early");
        }
    }
}
