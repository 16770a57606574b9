//! The place of one worker: a process after another, until the pool is stopped or starting one does not help.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vocabulary::WorkerId;

use super::backoff::Backoff;
use super::last_words::last_words;
use super::local::{Remaining, WorkersGone};
use super::process::{GRACE, Launch, WorkerProcess};

/// The exit code by which a worker says that it cannot work as it is configured, so that starting it again does not help:
/// `EX_CONFIG` of sysexits. After every other end it is started again.
const CANNOT_WORK: i32 = 78;

/// What a pool sees of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolEvent {
    /// A worker process ended and was reaped: nothing of it is left on its device.
    WorkerExited {
        /// Which.
        worker_id: WorkerId,
    },
}

/// See the [module's page](self).
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) launch: Launch,
    pub(super) events: mpsc::Sender<PoolEvent>,
    pub(super) remaining: Remaining,
    pub(super) stop: CancellationToken,
}

impl Slot {
    /// Looks after a process, and those that come after it.
    pub(super) async fn run(self, first: WorkerProcess) {
        let mut backoff = Backoff::new();
        let mut process = first;
        loop {
            let ended = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    match process.end(GRACE).await {
                        Ok(_) => self.report(process.id).await,
                        Err(error) => error!(worker = self.launch.name, %error, "a local worker cannot be ended"),
                    }
                    return;
                }
                ended = process.wait() => ended,
            };
            let name = self.launch.name.as_str();
            let status = match ended {
                Ok(status) => status,
                // Not reported: it may live. Its lease will say.
                Err(error) => {
                    error!(worker = name, %error, "a local worker cannot be watched, and is not started again");
                    return self.remaining.give_up(self.gone(error.to_string()));
                }
            };
            self.report(process.id).await;
            let last_words = last_words(&self.launch.log, process.log_from).unwrap_or_default();
            if status.code() == Some(CANNOT_WORK) {
                let log = self.launch.log.display();
                error!(worker = name, last_words, %log, "a local worker cannot work, and is not started again");
                return self.remaining.give_up(self.gone(last_words));
            }
            let lived = process.started.elapsed();
            warn!(worker = name, %status, ?lived, last_words, "a local worker ended, and is started again");
            let Some(next) = self.start_again(&mut backoff, lived).await else { return };
            process = next;
        }
    }

    /// The next process, however often it takes; none if the pool is stopped meanwhile.
    async fn start_again(&self, backoff: &mut Backoff, lived: Duration) -> Option<WorkerProcess> {
        let mut lived = lived;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(backoff.after(lived)) => {}
            }
            match self.launch.start() {
                Ok(process) => {
                    info!(worker = self.launch.name, id = %process.id, "a local worker is started again");
                    return Some(process);
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    warn!(worker = self.launch.name, error, "a local worker cannot be started now");
                    lived = Duration::ZERO;
                }
            }
        }
    }

    async fn report(&self, worker_id: WorkerId) {
        // Whoever listened may be gone; then it does not matter any more.
        let _ = self.events.send(PoolEvent::WorkerExited { worker_id }).await;
    }

    fn gone(&self, last_words: String) -> WorkersGone {
        WorkersGone { name: self.launch.name.clone(), log: self.launch.log.clone(), last_words }
    }
}
