//! How the process ends: exit codes, and the one line an error is printed as.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// The exit codes, as `--help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for a reason outside the request
  2    the request cannot be served as it stands: usage, a recipe, a path, a name
  3    the campaign ended with stages that failed
  130  interrupted; running the same command again goes on
  A worker ends with codes of its own: see `windtunnel worker --help`.";

/// How a command ended that printed what it had to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done,
    /// The campaign ended with stages that were given up.
    StagesFailed,
    /// A signal told it to stop.
    Interrupted,
}

impl Exit {
    /// The code the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::StagesFailed => 3,
            Self::Interrupted => 130,
        }
    }
}

/// An error that the person at the keyboard can mend by asking for something else: exit code 2.
///
/// It reads like the error inside it, and has its causes.
#[derive(Debug)]
pub(crate) struct BadInput(anyhow::Error);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for BadInput {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Marks the error of a result as [`BadInput`].
pub(crate) trait OrBadInput<T> {
    fn or_bad_input(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self) -> anyhow::Result<T> {
        self.map_err(|error| bad_input(error.into()))
    }
}

/// Marks an error as [`BadInput`].
pub(crate) fn bad_input(error: anyhow::Error) -> anyhow::Error {
    anyhow::Error::new(BadInput(error))
}

/// Prints what went wrong, on one line, and turns the outcome into the code of the process.
pub(crate) fn conclude(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::from(if error.downcast_ref::<BadInput>().is_some() { 2 } else { 1 })
        }
    }
}

/// An error and its causes, whatever line breaks they hold.
fn one_line(error: &anyhow::Error) -> String {
    let chain = format!("{error:#}");
    chain.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_stand_on_one_line() {
        let error: anyhow::Result<()> = Err(anyhow!("a cause\n  of two lines")).context("cannot do it");
        assert_eq!(one_line(&error.unwrap_err()), "cannot do it: a cause of two lines");
    }

    #[test]
    fn bad_input_is_known_below_context_and_keeps_its_causes() {
        let inner: anyhow::Result<()> = Err(anyhow!("a cause")).context("a bad path");
        let error = inner.or_bad_input().context("outside").unwrap_err();
        assert!(error.downcast_ref::<BadInput>().is_some());
        assert_eq!(one_line(&error), "outside: a bad path: a cause");
    }
}
