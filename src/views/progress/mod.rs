//! A campaign in progress, as people watch it: bars on a terminal, log lines elsewhere.

mod bars;
mod eta;
mod lines;
mod snapshot;

use std::io::IsTerminal;

pub(crate) use snapshot::Snapshot;

/// Somewhere progress is shown.
pub(crate) trait Display: Send {
    /// Shows how things are now.
    fn show(&mut self, now: &Snapshot);
    /// Takes away what does not make sense once the campaign is over.
    fn finish(&mut self);
}

/// Bars where the standard error is a terminal, log lines where it is not.
pub(crate) fn display() -> Box<dyn Display> {
    if std::io::stderr().is_terminal() { Box::new(bars::Bars::new()) } else { Box::new(lines::Lines::new()) }
}
