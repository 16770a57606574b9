//! Signals that stop a command.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for Ctrl-C, SIGTERM or SIGHUP. Once created, none of them ends the process by itself.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the process was started to outlive its terminal, as by `nohup`.
    hangup: Option<Signal>,
    was_interrupted: bool,
}

impl Interrupts {
    /// Must be called inside a runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let hangup = if worker::ignores_hangups() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
            was_interrupted: false,
        })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => self.was_interrupted = true,
            _ = self.terminate.recv() => {}
            () = hangup => {}
        }
    }

    /// Resolves at the second Ctrl-C. Schedulers repeat SIGTERM within milliseconds, so a repetition asks for nothing more.
    pub(crate) async fn again(&mut self) {
        loop {
            let _ = self.interrupt.recv().await;
            if std::mem::replace(&mut self.was_interrupted, true) {
                return;
            }
        }
    }

    /// What [`Interrupts::again`] waits for, for the person who sees that the command is stopping.
    pub(crate) fn how_to_stop_at_once(&self) -> &'static str {
        if self.was_interrupted { "press Ctrl-C again to stop at once" } else { "press Ctrl-C twice to stop at once" }
    }
}

/// An interrupter triggered by Ctrl-C, SIGTERM or SIGHUP.
pub(crate) fn stopped_by_signals() -> anyhow::Result<trainer::Interrupter> {
    let interrupter = trainer::Interrupter::new();
    let stop = interrupter.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            match Interrupts::listen() {
                Ok(mut interrupts) => interrupts.next().await,
                // Ctrl-C then ends the process at once.
                Err(_) => return,
            }
            stop.stop(Some("a signal"));
        });
    })?;
    Ok(interrupter)
}
