//! A campaign in progress: bars on a terminal, log lines elsewhere.

mod awaited;
mod bars;
mod lines;
mod snapshot;

use std::io::IsTerminal;

pub(crate) use awaited::awaited;
pub(crate) use snapshot::{Snapshot, WorkerLine};

/// Shows progress.
pub(crate) trait Display: Send {
    /// Shows the current state.
    fn show(&mut self, now: &Snapshot);
    /// Removes what makes no sense after the end of the campaign.
    fn finish(&mut self);
}

/// Bars if standard error is a terminal, log lines otherwise. `workers_of` is the address of a coordinator that starts no
/// workers of its own: without a connected one, the display says how to start one.
pub(crate) fn display(workers_of: Option<&str>) -> Box<dyn Display> {
    let hint = workers_of
        .map(|url| format!("waiting: no worker is connected. Start one: windtunnel worker --coordinator {url}"));
    match std::io::stderr().is_terminal() {
        true => Box::new(bars::Bars::new(hint)),
        false => Box::new(lines::Lines::new(hint)),
    }
}
