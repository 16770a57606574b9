//! Worker processes on this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dial::Secret;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info};

use super::process::{Launch, PoolError};
use super::slot::{PoolEvent, Slot};

/// What to start.
#[derive(Debug, Clone)]
pub struct LocalPoolOptions {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments. The coordinator's address, the worker's name and its identity are added.
    pub args: Vec<String>,
    /// How many processes.
    pub count: usize,
    /// Where each writes what it says, as `NAME.log`; made if it is not there.
    pub log_dir: PathBuf,
    /// They are called `PREFIX-1`, `PREFIX-2` and so on.
    pub name_prefix: String,
}

/// No worker of a pool works any more, and none will: each ended saying that starting it again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no local worker can work; {name} ended with {last_words:?}, and its log is {}", .log.display())]
pub struct WorkersGone {
    /// The last one to end.
    pub name: String,
    /// What it logged.
    pub log: PathBuf,
    /// The last line of that; empty where there is none.
    pub last_words: String,
}

/// Worker processes that run. They end with it: [`LocalPool::stop`] waits for that, and dropping it does not.
#[derive(Debug)]
pub struct LocalPool {
    slots: Vec<JoinHandle<()>>,
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
        token: Option<Secret>,
        events: mpsc::Sender<PoolEvent>,
    ) -> Result<Self, PoolError> {
        let LocalPoolOptions { program, args, count, log_dir, name_prefix } = options;
        let made = tokio::fs::create_dir_all(&log_dir).await;
        made.map_err(|source| PoolError::Log { path: log_dir.clone(), source })?;
        let (remaining, gone) = Remaining::new(count);
        let stop = CancellationToken::new();
        let mut pool = Self { slots: Vec::with_capacity(count), gone, stop: stop.clone().drop_guard() };
        for number in 1..=count {
            let name = format!("{name_prefix}-{number}");
            let launch = Launch {
                program: program.clone(),
                args: args.clone(),
                coordinator_url: coordinator_url.to_owned(),
                token: token.clone(),
                log: log_dir.join(format!("{name}.log")),
                name,
            };
            match launch.start() {
                Ok(process) => {
                    let remaining = remaining.clone();
                    let slot = Slot { launch, events: events.clone(), remaining, stop: stop.clone() };
                    pool.slots.push(tokio::spawn(slot.run(process)));
                }
                Err(error) => {
                    pool.stop().await;
                    return Err(error);
                }
            }
        }
        info!(workers = count, logs = %log_dir.display(), "local workers are started");
        Ok(pool)
    }

    /// Waits until no worker of the pool works any more, nor will. For ever, unless it comes to that.
    pub fn gone(&self) -> impl Future<Output = WorkersGone> + use<> {
        let mut gone = self.gone.clone();
        async move {
            match gone.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(gone)) => gone.clone(),
                // The pool was stopped.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// Ends all processes: each may write its checkpoint, and is killed if it takes too long. Their ends are reported
    /// before this returns.
    pub async fn stop(self) {
        drop(self.stop);
        for slot in self.slots {
            if let Err(error) = slot.await {
                error!(%error, "a slot of the pool ended early");
            }
        }
    }
}

/// The slots of a pool that have not given up.
#[derive(Debug, Clone)]
pub(super) struct Remaining {
    slots: Arc<AtomicUsize>,
    gone: watch::Sender<Option<WorkersGone>>,
}

impl Remaining {
    fn new(slots: usize) -> (Self, watch::Receiver<Option<WorkersGone>>) {
        let (gone, is_gone) = watch::channel(None);
        (Self { slots: Arc::new(AtomicUsize::new(slots)), gone }, is_gone)
    }

    /// Notes that a slot starts no more processes.
    pub(super) fn give_up(&self, last: WorkersGone) {
        if self.slots.fetch_sub(1, Ordering::AcqRel) == 1 {
            error!("no local worker is left, and none is started again");
            self.gone.send_replace(Some(last));
        }
    }
}
