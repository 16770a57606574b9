//! A worker process, from start to end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dial::{AddressError, Addresses};
use minicpm::Compute;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Uri;
use tracing::{debug, info, warn};
use vocabulary::WorkerId;
use vocabulary::text::one_line;

use crate::error::WorkerError;
use crate::exit::WorkerExit;
use crate::home::Home;
use crate::leave::{Leave, watch_signals, watch_stdin};
use crate::options::WorkerOptions;
use crate::runner::Runner;
use crate::session::link::{JitteredBackoff, keep_connected};
use crate::session::{Identity, Session};
use crate::shell::Shell;
use crate::training::{Hanging, StageTrainer, Trainer};
use outbox::{Spools, inherited, restored};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long a process whose training hangs may take to end in order.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(10);

/// Works for a coordinator until told to leave. Watches signals and, if requested, the standard input; it is meant to
/// be all that a process does.
pub fn run(options: WorkerOptions) -> Result<WorkerExit, WorkerError> {
    let compute = Compute::parse(&options.device, options.threads)
        .map_err(|source| WorkerError::Device { device: options.device.clone(), source })?
        .with_memory(options.memory_bytes);
    // On its own thread, so that the caller may be inside a runtime.
    let session = std::thread::Builder::new().name("session".to_owned()).spawn(move || run_here(options, compute));
    let session = session.map_err(|source| WorkerError::Process { action: "start a thread", source })?;
    session.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn run_here(options: WorkerOptions, compute: Compute) -> Result<WorkerExit, WorkerError> {
    let process = |action| move |source| WorkerError::Process { action, source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(process("start"))?;
    let (leave, leave_requests) = mpsc::channel(4);
    let result = runtime.block_on(async {
        watch_signals(options.exit_with_stdin, &leave).map_err(process("watch for signals"))?;
        if options.exit_with_stdin {
            watch_stdin(leave.clone(), options.grace).map_err(process("watch the standard input"))?;
        }
        let device = format!("{compute} with {} threads", compute.threads());
        let trainer = Hanging { trainer: StageTrainer::new(compute), file: options.hang_while.clone() };
        serve(options, device, trainer, leave_requests).await
    });
    if let Err(WorkerError::Stalled { .. }) = &result {
        // The driver of a device that hangs may hang at the end of the process, too.
        let ended = std::thread::Builder::new().name("end".to_owned()).spawn(|| {
            std::thread::sleep(PATIENCE_AT_THE_END);
            std::process::abort()
        });
        drop(ended);
    }
    // A hanging upload must not keep the process alive.
    runtime.shutdown_background();
    result
}

/// Works for a coordinator with any trainer, until told to leave through `leave`.
///
/// `device` is the device's name for display.
pub async fn serve(
    options: WorkerOptions,
    device: String,
    trainer: impl Trainer,
    leave: mpsc::Receiver<Leave>,
) -> Result<WorkerExit, WorkerError> {
    let (url, credentials) = (options.coordinator_url.clone(), options.credentials.clone());
    let connect = move |uri| {
        let addresses = Addresses::parse(&url, &credentials);
        async move {
            let connectors = addresses.map_err(io::Error::other)?.connectors();
            connectors.open(&uri).await.map_err(io::Error::other)
        }
    };
    serve_through(options, device, trainer, leave, connect).await
}

/// Like [`serve`], over connections that `connect` opens, for example in a simulated network.
pub async fn serve_through<C, F, IO>(
    options: WorkerOptions,
    device: String,
    trainer: impl Trainer,
    mut leave: mpsc::Receiver<Leave>,
    connect: C,
) -> Result<WorkerExit, WorkerError>
where
    C: Fn(Uri) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (url, credentials) = (options.coordinator_url.clone(), options.credentials.clone());
    let dials = move || -> Result<Vec<_>, AddressError> {
        let addresses = Addresses::parse(&url, &credentials)?;
        Ok(addresses.iter().map(|address| (address.endpoint().clone(), address.authorize().clone())).collect())
    };
    if let Err(error) = dials()
        && !error.may_pass()
    {
        return Err(error.into());
    }
    let home = Home::take(&options.data_dir, options.name.as_deref())?;
    let worker = options.worker_id.unwrap_or_else(|| WorkerId::from_bytes(rand::random()));
    let (predecessors, secret) = (home.succeed(&worker)?, home.secret()?);
    let mut spools = Spools::open(&home.dir.join("outbox"))?;
    info!(%worker, name = home.name, device, coordinator = options.coordinator_url, "worker starts");

    let (options, home) = (Arc::new(options), Arc::new(home));
    let dial = || {
        let (link, events) = mpsc::channel(64);
        let backoff = JitteredBackoff::new(FIRST_WAIT, LONGEST_WAIT);
        // In a set that ends together with this future.
        let mut dialling = JoinSet::new();
        dialling.spawn(keep_connected(dials.clone(), connect.clone(), backoff, link));
        (dialling, events)
    };
    let can = trainer.abilities();
    let identity = |worker, predecessors| {
        let (name, device, memory_bytes) = (home.name.clone(), device.clone(), options.memory_bytes);
        let (can, secret, place) = (can.clone(), secret.clone(), options.place.clone());
        Identity { worker, name, device, memory_bytes, can, predecessors, secret, place }
    };
    // The folder's lock says that those who had it before have ended. Until they are said to be gone, what they left can
    // still be said for them.
    for ended in spools.unsaid().into_iter().filter(|ended| *ended != worker) {
        let (spool, left) = spools.continue_as(&ended)?;
        info!(worker = %ended, reports = left.messages.len(), "delivering what an earlier process left");
        let session = Session::of_ended(identity(ended, Vec::new()), inherited(left, options.outbox_bytes));
        let (_dialling, events) = dial();
        let shell = Shell::new(Arc::clone(&options), Arc::clone(&home), session, spool);
        match shell.run(events, &mut leave).await {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(why.exit()),
            // If it is not about that process alone, the coordinator says so to this one, too.
            Err(error @ (WorkerError::Refused { .. } | WorkerError::Protocol { .. })) => {
                warn!(worker = %ended, error = one_line(&error), "what an earlier process left stays on the disk");
            }
            Err(error) => return Err(error),
        }
    }

    let (spool, recovered) = spools.continue_as(&worker)?;
    if let Err(error) = spools.sweep(&worker) {
        debug!(error = one_line(&error), "cannot delete what earlier processes left");
    }
    let queue = restored(recovered, options.outbox_bytes);
    let (runner, reports) = Runner::start(trainer, options.checkpoint_interval, options.stall_limits)
        .map_err(|source| WorkerError::Process { action: "start the training thread", source })?;
    let session = Session::new(identity(worker, predecessors), queue);
    let (_dialling, events) = dial();
    let shell = Shell::new(Arc::clone(&options), Arc::clone(&home), session, spool).with_training(runner, reports);
    Ok(shell.run(events, &mut leave).await?.map_or(WorkerExit::Done, Leave::exit))
}
