//! Signals that stop a command.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM. Once created, neither ends the process by itself.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Must be called inside a runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Resolves at the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// An interrupter triggered by Ctrl-C or SIGTERM.
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
