//! Tells a worker to leave: on a signal, or at the end of its standard input.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::exit::{ExitCode, WorkerExit};

/// How long a worker without parent and coordinator may take: a successor may be waiting for its device and its folder.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// A worker whose parent is gone ends this long after its grace, even if it hangs.
const AFTER_GRACE: Duration = Duration::from_secs(5);

/// Why the worker has to leave. Of several reasons the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// A signal: the machine is needed for something else.
    Preempted,
    /// A second interrupt from the keyboard: do not wait for a step or a checkpoint. Committed work is safe without them.
    AtOnce,
    /// Its parent closed the standard input, or is gone.
    ParentGone,
}

impl Leave {
    /// How long handing back may take, if `grace` is what the worker was started with.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Duration {
        match self {
            Self::Preempted | Self::ParentGone => grace,
            Self::AtOnce => Duration::ZERO,
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

/// How long a worker may take whose parent and coordinator are both gone.
pub(crate) fn orphan_grace(grace: Duration) -> Duration {
    grace.min(ORPHAN_GRACE)
}

/// A signal that a worker watches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// SIGTERM, SIGUSR1 or SIGHUP. Schedulers repeat them: Slurm sends SIGTERM twice within milliseconds.
    Request,
    /// SIGINT, as from the keyboard.
    Interrupt,
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Signals {
    was_told: bool,
    was_interrupted: bool,
}

impl Signals {
    /// What a signal asks for; `None` if it only repeats. Only a second interrupt means more than the first signal.
    fn hear(&mut self, heard: Heard) -> Option<Leave> {
        if heard == Heard::Interrupt && std::mem::replace(&mut self.was_interrupted, true) {
            return Some(Leave::AtOnce);
        }
        (!std::mem::replace(&mut self.was_told, true)).then_some(Leave::Preempted)
    }
}

/// Whether this process was started to outlive its terminal, as by `nohup`: SIGHUP is ignored, and must stay so.
#[must_use]
pub fn ignores_hangups() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_first_signal(&status))
}

fn ignores_first_signal(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

/// Watches for the signals that say that the machine is wanted: SIGTERM, SIGUSR1, which schedulers send ahead of time where
/// they are told to (`sbatch --signal=USR1@120`), SIGHUP, which comes when a session ends, and an interrupt from the keyboard.
/// With `exit_with_stdin` what a terminal sends is left to the parent, which receives it too.
pub(crate) fn watch_signals(exit_with_stdin: bool, leave: &mpsc::Sender<Leave>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut warning = signal(SignalKind::user_defined1())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = if ignores_hangups() { None } else { Some(signal(SignalKind::hangup())?) };
    let leave = leave.clone();
    tokio::spawn(async move {
        let mut signals = Signals::default();
        loop {
            let heard = tokio::select! {
                _ = terminate.recv() => Heard::Request,
                _ = warning.recv() => Heard::Request,
                () = next(&mut hangup) => {
                    if exit_with_stdin {
                        continue;
                    }
                    Heard::Request
                }
                _ = interrupt.recv() => {
                    if exit_with_stdin {
                        continue;
                    }
                    Heard::Interrupt
                }
            };
            let Some(why) = signals.hear(heard) else { continue };
            match why {
                Leave::AtOnce => info!("leaving at once"),
                _ => info!("leaving: what is trained goes to a checkpoint first; a second Ctrl-C leaves at once"),
            }
            if leave.send(why).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Resolves at the next signal; pends if it is not watched.
async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Watches the standard input for its end, which comes when the parent closes it or is gone, however it went.
///
/// No process outlives its parent for long, even one that hangs: some time after the grace this ends it.
pub(crate) fn watch_stdin(leave: mpsc::Sender<Leave>, grace: Duration) -> std::io::Result<()> {
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
        std::thread::sleep(Leave::ParentGone.grace(grace) + AFTER_GRACE);
        std::process::exit(i32::from(ExitCode::Done as u8));
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(watch)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_second_interrupt_ends_at_once_however_often_schedulers_ask() {
        let heard = |row: &[Heard]| {
            let mut signals = Signals::default();
            row.iter().filter_map(|heard| signals.hear(*heard)).collect::<Vec<_>>()
        };
        use Heard::{Interrupt, Request};
        assert_eq!(heard(&[Request, Request, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Request, Interrupt, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Interrupt, Request, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Interrupt, Interrupt]), [Leave::Preempted, Leave::AtOnce]);
        assert_eq!(heard(&[Request, Interrupt, Request, Interrupt]), [Leave::Preempted, Leave::AtOnce]);
    }

    #[test]
    fn a_parent_that_leaves_in_order_waits_as_long_as_a_scheduler_does() {
        let grace = Duration::from_secs(170);
        assert_eq!(Leave::ParentGone.grace(grace), grace);
        assert_eq!(Leave::Preempted.grace(grace), grace);
        assert_eq!(orphan_grace(grace), ORPHAN_GRACE);
        assert_eq!(orphan_grace(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn a_mask_of_ignored_signals_is_read() {
        assert!(ignores_first_signal("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_first_signal("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_first_signal("SigBlk:\t0000000000000001\n"));
        assert!(!ignores_first_signal("SigIgn:\tx\n"));
    }
}
