//! Tells a worker to leave: on a signal, or at the end of its standard input.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::exit::{ExitCode, WorkerExit};

const PARENT_GONE_GRACE: Duration = Duration::from_secs(5);

/// Why the worker has to leave. Of several reasons the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// A signal: the machine is needed for something else.
    Preempted,
    /// A second signal: do not wait for a step or a checkpoint. Committed work is safe without them.
    AtOnce,
    /// Its parent closed the standard input, or is gone.
    ParentGone,
}

impl Leave {
    /// How long handing back may take; `preempted` if a signal is the reason. A parent that closes the input waits only
    /// a few seconds.
    #[must_use]
    pub fn grace(self, preempted: Duration) -> Duration {
        match self {
            Self::Preempted => preempted,
            Self::AtOnce => Duration::ZERO,
            Self::ParentGone => PARENT_GONE_GRACE,
        }
    }

    /// How the process ends then.
    #[must_use]
    pub fn exit(self) -> WorkerExit {
        match self {
            Self::Preempted | Self::AtOnce => WorkerExit::Preempted,
            Self::ParentGone => WorkerExit::Done,
        }
    }
}

/// Watches for the signals that say that the machine is wanted: SIGTERM, an interrupt from the keyboard, and SIGUSR1, which
/// schedulers send ahead of time where they are told to (`sbatch --signal=USR1@120`). With `exit_with_stdin` an interrupt
/// is left to the parent, which got it too.
pub(crate) fn watch_signals(exit_with_stdin: bool, leave: &mpsc::Sender<Leave>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut warning = signal(SignalKind::user_defined1())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let leave = leave.clone();
    tokio::spawn(async move {
        let mut why = Leave::Preempted;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = warning.recv() => {}
                _ = interrupt.recv() => {
                    if exit_with_stdin {
                        continue;
                    }
                }
            }
            match why {
                Leave::Preempted => {
                    info!("told to go by a signal: a checkpoint first; another signal, and it goes at once")
                }
                _ => info!("told to go at once"),
            }
            if leave.send(why).await.is_err() {
                return;
            }
            why = Leave::AtOnce;
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
        std::thread::sleep(2 * PARENT_GONE_GRACE);
        std::process::exit(i32::from(ExitCode::Done as u8));
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch)?;
    Ok(())
}
