//! Who tells a worker to go: a signal, or the end of its standard input.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::exit::{ExitCode, WorkerExit};

/// Why the worker has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// A signal: the machine is wanted for something else.
    Preempted,
    /// Whoever started it closed its standard input, or is gone.
    ParentGone,
}

impl Leave {
    /// How long it may take to hand back what is in hand. Slurm and Kubernetes kill 30 seconds after the signal; a
    /// parent that closes the input waits a few.
    #[must_use]
    pub fn grace(self) -> Duration {
        match self {
            Self::Preempted => Duration::from_secs(25),
            Self::ParentGone => Duration::from_secs(5),
        }
    }

    /// How the process ends then.
    #[must_use]
    pub fn exit(self) -> WorkerExit {
        match self {
            Self::Preempted => WorkerExit::Preempted,
            Self::ParentGone => WorkerExit::Done,
        }
    }
}

/// Watches for signals. With `exit_with_stdin` an interrupt from the keyboard is left to the parent, which got it too.
pub(crate) fn watch_signals(exit_with_stdin: bool, leave: &mpsc::Sender<Leave>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let leave = leave.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => info!("told to go by a signal"),
                _ = interrupt.recv() => {
                    if exit_with_stdin {
                        continue;
                    }
                    info!("interrupted");
                }
            }
            if leave.send(Leave::Preempted).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Watches the standard input for its end, which comes when the parent closes it or is gone, however it went.
///
/// No process outlives its parent for long, even one that hangs: some time after the grace this ends it.
pub(crate) fn watch_stdin(leave: mpsc::Sender<Leave>) -> std::io::Result<()> {
    let watch = move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = [0; 256];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    debug!(%error, "the standard input is gone");
                    break;
                }
            }
        }
        info!("the standard input ended");
        let _ = leave.blocking_send(Leave::ParentGone);
        std::thread::sleep(2 * Leave::ParentGone.grace());
        std::process::exit(i32::from(ExitCode::Done as u8));
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch)?;
    Ok(())
}
