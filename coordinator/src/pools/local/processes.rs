//! The processes of a pool.

use std::collections::BTreeMap;

use scheduler::pool::{AllocationNumber, Ending};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use vocabulary::WorkerId;

use super::super::{Ended, Observed, Pool, WorkersGone};
use super::last_log_line::last_log_line;
use super::process::{Launch, PoolError, Program, WorkerProcess};
use crate::tasks::caught;

/// The exit code by which a worker says that it cannot work as it is configured, so that starting it again does not help:
/// `EX_CONFIG` of sysexits. After every other end it is started again.
const CANNOT_WORK: i32 = 78;

/// Processes by their numbers.
#[derive(Debug)]
pub(super) struct Processes {
    program: Program,
    alive: BTreeMap<AllocationNumber, Alive>,
    ended: mpsc::UnboundedReceiver<(AllocationNumber, Ended)>,
    /// For the tasks that wait for a process.
    ends: mpsc::UnboundedSender<(AllocationNumber, Ended)>,
}

#[derive(Debug)]
struct Alive {
    worker: WorkerId,
    /// Cancelled to have it go.
    release: CancellationToken,
}

impl Processes {
    pub(super) fn new(program: Program) -> Self {
        let (ends, ended) = mpsc::unbounded_channel();
        Self { program, alive: BTreeMap::new(), ended, ends }
    }
}

impl Pool for Processes {
    async fn submit(&mut self, number: AllocationNumber) -> Result<WorkerId, PoolError> {
        let launch = self.program.launch(number.0);
        let process = launch.start()?;
        let (worker, release) = (process.id, CancellationToken::new());
        self.alive.insert(number, Alive { worker, release: release.clone() });
        let ends = self.ends.clone();
        tokio::spawn(async move {
            let (name, log) = (launch.name.clone(), launch.log.clone());
            let seen = caught("the watch over a local worker", see_through(launch, process, release)).await;
            let ended = seen.unwrap_or_else(|panicked| {
                error!(worker = name, error = %panicked, "a local worker cannot be watched, and is not started again");
                let obituary = WorkersGone { name, log, last_log_line: panicked.to_string() };
                // It may live. Its lease will say.
                Ended { worker, ending: Ending::Hopeless, is_gone: false, obituary }
            });
            // The pool may be gone.
            let _ = ends.send((number, ended));
        });
        Ok(worker)
    }

    async fn observe(&mut self) -> BTreeMap<AllocationNumber, Observed> {
        let mut observed = BTreeMap::new();
        let Some((number, ended)) = self.ended.recv().await else { return observed };
        self.alive.remove(&number);
        observed.extend(self.alive.iter().map(|(number, alive)| (*number, Observed::Alive { worker: alive.worker })));
        observed.insert(number, Observed::Ended(ended));
        observed
    }

    async fn release(&mut self, number: AllocationNumber) {
        if let Some(alive) = self.alive.get(&number) {
            alive.release.cancel();
        }
    }
}

/// Waits for the end of a process, which comes by itself or because it is released.
async fn see_through(launch: Launch, mut process: WorkerProcess, release: CancellationToken) -> Ended {
    let (ended, was_released) = tokio::select! {
        biased;
        () = release.cancelled() => (process.end().await, true),
        ended = process.wait() => (ended, false),
    };
    let (name, worker) = (launch.name, process.id);
    let log = launch.log.display();
    let (ending, is_gone, last_log_line) = match ended {
        Ok(_) if was_released => (Ending::Replaceable, true, String::new()),
        Ok(status) => {
            let last_log_line = last_log_line(&launch.log, process.log_from).unwrap_or_default();
            if status.code() == Some(CANNOT_WORK) {
                error!(worker = name, last_log_line, %log, "a local worker cannot work, and is not started again");
                (Ending::Hopeless, true, last_log_line)
            } else {
                let lived = process.started.elapsed();
                warn!(worker = name, %status, ?lived, last_log_line, "a local worker ended, and is started again");
                (Ending::Replaceable, true, last_log_line)
            }
        }
        // It may live. Its lease will say.
        Err(error) if was_released => {
            error!(worker = name, %error, "a local worker cannot be ended");
            (Ending::Hopeless, false, error.to_string())
        }
        Err(error) => {
            error!(worker = name, %error, "a local worker cannot be watched, and is not started again");
            (Ending::Hopeless, false, error.to_string())
        }
    };
    Ended { worker, ending, is_gone, obituary: WorkersGone { name, log: launch.log, last_log_line } }
}
