//! How the process ends: exit codes, and the one line an error is printed as.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use client::{BranchError, CallError, SubmitError};
use proto::v1::CampaignSummary;

use crate::logging::say;

/// The exit codes, as `--help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed for a reason outside the request
  2    the request cannot be served as it stands: usage, a recipe, a path, a name
  3    the campaign ended with stages that failed
  4    what was examined is not as it should be
  130  interrupted; running the same command again goes on
  A worker ends with codes of its own: see `windtunnel worker --help`.";

/// How a command ended that printed what it had to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done,
    /// The campaign ended with stages that were given up.
    StagesFailed,
    /// What it examined is not as it should be.
    NotSound,
    /// A signal told it to stop.
    Interrupted,
    /// A worker ended; its codes are its own, because pools read them.
    Worker(worker::ExitCode),
}

impl Exit {
    /// What the end of a campaign means for the command that waited for it.
    pub(crate) fn of_campaign(summary: &CampaignSummary) -> Self {
        let failed = summary.stages.is_some_and(|stages| stages.failed > 0);
        if failed { Self::StagesFailed } else { Self::Done }
    }

    /// The code the process ends with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::StagesFailed => 3,
            Self::NotSound => 4,
            Self::Interrupted => 130,
            Self::Worker(code) => code as u8,
        }
    }
}

/// An error that the person at the keyboard can mend by asking for something else: exit code 2.
///
/// It reads like the error inside it, and has its causes.
#[derive(Debug)]
pub(crate) struct BadInput(anyhow::Error);

impl BadInput {
    /// The error inside, if it is of this type.
    pub(crate) fn downcast_ref<E: Error + Send + Sync + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }
}

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
pub(crate) fn conclude(outcome: anyhow::Result<Exit>) -> ExitCode {
    match outcome {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            print(&error);
            ExitCode::from(if is_bad_input(&error) { 2 } else { 1 })
        }
    }
}

/// Prints an error with its causes.
pub(crate) fn print(error: &anyhow::Error) {
    say(&format!("error: {}", one_line(error.as_ref())));
}

fn is_bad_input(error: &anyhow::Error) -> bool {
    error.downcast_ref::<BadInput>().is_some() || call_error(error).is_some_and(CallError::is_bad_input)
}

/// The error of a call to a coordinator, where that is what went wrong.
pub(crate) fn call_error(error: &anyhow::Error) -> Option<&CallError> {
    match (error.downcast_ref(), error.downcast_ref()) {
        (Some(SubmitError::Call(error)), _) | (_, Some(BranchError::Call(error))) => Some(error),
        _ => error.downcast_ref(),
    }
}

/// An error and its causes on one line, whatever line breaks they hold.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some libraries print their cause themselves.
        let text = error.to_string();
        if !chain.ends_with(&text) {
            chain = format!("{chain}: {text}");
        }
        cause = error.source();
    }
    chain.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_stand_on_one_line() {
        let error: anyhow::Result<()> = Err(anyhow!("a cause\n  of two lines")).context("cannot do it");
        assert_eq!(one_line(error.unwrap_err().as_ref()), "cannot do it: a cause of two lines");
    }

    #[test]
    fn bad_input_is_known_below_context_and_keeps_its_causes() {
        let inner: anyhow::Result<()> = Err(anyhow!("a cause")).context("a bad path");
        let error = inner.or_bad_input().context("outside").unwrap_err();
        assert!(error.downcast_ref::<BadInput>().is_some());
        assert_eq!(one_line(error.as_ref()), "outside: a bad path: a cause");
    }
}
