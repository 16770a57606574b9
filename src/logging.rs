//! Log lines: to the standard error, above the progress bars where there are any.

use std::io::{self, Write};
use std::sync::OnceLock;

use anyhow::Context;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The bars of the process. Whatever else writes to the standard error goes through [`above_bars`], so that it neither
/// tears a bar nor is painted over.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Calls something that writes to the standard error while no bar is there.
pub(crate) fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    bars().suspend(write)
}

/// Tells the person at the keyboard something, on the standard error.
pub(crate) fn say(line: &str) {
    // A standard error that is gone leaves nobody to tell.
    let _ = above_bars(|| writeln!(io::stderr(), "{line}"));
}

/// Turns logging on, with the filter that is asked for (`--log`), or that of `RUST_LOG`, or else the command's own.
///
/// # Errors
/// A filter that is none.
pub(crate) fn start(asked: Option<&str>, default: &str) -> anyhow::Result<()> {
    let of_environment = || std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = asked.map(str::to_owned).or_else(of_environment);
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(default))
        .context("the filter of --log or RUST_LOG is not one (expected, for example, `info` or `coordinator=debug`)")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBars)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .init();
    Ok(())
}

#[derive(Clone, Copy)]
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above_bars(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for AboveBars {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
