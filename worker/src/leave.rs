//! Tells a worker to leave: on a signal, or at the end of its standard input.

use std::io::Read;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::exit::{ExitCode, WorkerExit};
use crate::term::to_hand_back;

/// How long a worker without parent and coordinator may take: a successor may be waiting for its device and its folder.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);
/// A worker whose parent is gone ends this long after its grace, even if it hangs.
const AFTER_GRACE: Duration = Duration::from_secs(5);

/// Why the worker has to leave. Of several reasons the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// It was given nothing for as long as it was told to wait.
    Idle,
    /// Its machine is taken away soon, as it was told at its start.
    TimeUp,
    /// A signal ahead of time: its machine is taken away soon.
    Warned,
    /// A signal: the machine is needed for something else.
    Preempted,
    /// A second interrupt from the keyboard: do not wait for a step or a checkpoint. Committed work is safe without them.
    AtOnce,
    /// Its parent closed the standard input, or is gone.
    ParentGone,
}

impl Leave {
    /// How long handing back may take, if `grace` is what the worker was started with, and it has its machine for `left` more,
    /// as far as it knows.
    #[must_use]
    pub fn within(self, grace: Duration, left: Option<Duration>) -> Duration {
        match self {
            // Nobody waits for the machine before that time.
            Self::TimeUp | Self::Warned => left.map_or(grace, to_hand_back),
            Self::Idle | Self::Preempted | Self::ParentGone => grace,
            Self::AtOnce => Duration::ZERO,
        }
    }

    /// How the process ends then.
    #[must_use]
    pub fn exit(self) -> WorkerExit {
        match self {
            Self::TimeUp | Self::Warned | Self::Preempted | Self::AtOnce => WorkerExit::Preempted,
            Self::Idle | Self::ParentGone => WorkerExit::Done,
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
    /// SIGUSR1, which schedulers send ahead of time.
    Warning,
    /// SIGTERM or SIGHUP. Schedulers repeat them: Slurm sends SIGTERM twice within milliseconds.
    Request,
    /// SIGINT, as from the keyboard.
    Interrupt,
}

/// What was heard so far.
#[derive(Debug, Default)]
struct Signals {
    greatest: Option<Leave>,
    was_interrupted: bool,
}

impl Signals {
    /// What a signal asks for; `None` if it only repeats. A request means more than a warning, and a second interrupt more than
    /// either.
    fn hear(&mut self, heard: Heard) -> Option<Leave> {
        let asked = match heard {
            Heard::Warning => Leave::Warned,
            Heard::Interrupt if std::mem::replace(&mut self.was_interrupted, true) => return Some(Leave::AtOnce),
            Heard::Request | Heard::Interrupt => Leave::Preempted,
        };
        let is_news = self.greatest < Some(asked);
        self.greatest = self.greatest.max(Some(asked));
        is_news.then_some(asked)
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
                _ = warning.recv() => Heard::Warning,
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
                Leave::Warned => info!("told ahead of time to leave: what is trained goes to a checkpoint first"),
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
        std::thread::sleep(Leave::ParentGone.within(grace, None) + AFTER_GRACE);
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
        use Heard::{Interrupt, Request, Warning};
        assert_eq!(heard(&[Request, Request, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Request, Interrupt, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Interrupt, Request, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Interrupt, Interrupt]), [Leave::Preempted, Leave::AtOnce]);
        assert_eq!(heard(&[Request, Interrupt, Request, Interrupt]), [Leave::Preempted, Leave::AtOnce]);
        assert_eq!(heard(&[Warning, Warning, Request, Request]), [Leave::Warned, Leave::Preempted]);
        assert_eq!(heard(&[Request, Warning, Request]), [Leave::Preempted]);
        assert_eq!(heard(&[Warning, Interrupt, Interrupt]), [Leave::Warned, Leave::Preempted, Leave::AtOnce]);
    }

    #[test]
    fn one_told_ahead_of_time_has_what_is_left_and_any_other_its_grace() {
        let (grace, left) = (Duration::from_secs(25), Some(Duration::from_secs(180)));
        for why in [Leave::Warned, Leave::TimeUp] {
            assert_eq!(why.within(grace, left), Duration::from_secs(170));
            assert_eq!(why.within(grace, None), grace);
            assert_eq!(why.exit(), WorkerExit::Preempted);
        }
        for why in [Leave::Idle, Leave::Preempted, Leave::ParentGone] {
            assert_eq!(why.within(grace, left), grace);
        }
        assert_eq!(Leave::AtOnce.within(grace, left), Duration::ZERO);
        assert_eq!(Leave::Idle.exit(), WorkerExit::Done);
    }

    #[test]
    fn a_parent_that_leaves_in_order_waits_as_long_as_a_scheduler_does() {
        let grace = Duration::from_secs(170);
        assert_eq!(Leave::ParentGone.within(grace, None), grace);
        assert_eq!(Leave::Preempted.within(grace, None), grace);
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
