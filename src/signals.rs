//! The signals that ask a command to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for Ctrl-C, or for SIGTERM. From the moment it is made neither ends the process by itself.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Has to be called inside a runtime.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Completes when someone asks to stop; called again, when someone asks once more.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
