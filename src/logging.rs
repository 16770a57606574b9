//! Log lines on standard error, above any progress bars.

use std::io::{self, Write};
use std::sync::OnceLock;

use anyhow::Context;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The progress bars of the process. Everything else written to standard error goes through [`above_bars`], so that bars and
/// lines do not overwrite each other.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(MultiProgress::new)
}

/// Writes to standard error with the bars hidden.
pub(crate) fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    bars().suspend(write)
}

/// Prints a line to standard error.
pub(crate) fn say(line: &str) {
    // If standard error is closed, there is nobody to tell.
    let _ = above_bars(|| writeln!(io::stderr(), "{line}"));
}

/// Starts logging with the requested filter (`--log`), else `RUST_LOG`, else the command's default.
///
/// # Errors
/// The filter is invalid.
pub(crate) fn start(asked: Option<&str>, default: &str) -> anyhow::Result<()> {
    let of_environment = || std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = asked.map(str::to_owned).or_else(of_environment);
    // How long a database connection took to acquire concerns only those who ask for logs.
    let default = format!("{default},sqlx=error");
    let filter = EnvFilter::try_new(filter.as_deref().unwrap_or(&default))
        .context("invalid filter in --log or RUST_LOG (expected, for example, `info` or `coordinator=debug`)")?;
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
