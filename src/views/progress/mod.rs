//! A campaign in progress: bars on a terminal, log lines elsewhere.

mod bars;
mod eta;
mod lines;
mod snapshot;

use std::io::IsTerminal;

pub(crate) use snapshot::Snapshot;

/// Shows progress.
pub(crate) trait Display: Send {
    /// Shows the current state.
    fn show(&mut self, now: &Snapshot);
    /// Removes what makes no sense after the end of the campaign.
    fn finish(&mut self);
}

/// Bars if standard error is a terminal, log lines otherwise.
pub(crate) fn display() -> Box<dyn Display> {
    if std::io::stderr().is_terminal() { Box::new(bars::Bars::new()) } else { Box::new(lines::Lines::new()) }
}
