//! Exit codes, and the printing of errors.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use client::{BranchError, CallError, UploadError};
use proto::v1::{CampaignPhase, CampaignSummary};
use vocabulary::text::one_line;

use crate::logging::say;

/// The exit codes, as `--help` lists them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the request is valid, but something else failed
  2    invalid request: usage, a recipe, a path, a name
  3    the campaign ended with failed stages
  4    the examined data is not sound
  5    the campaign was cancelled
  130  interrupted; run the same command again to continue
  Workers have exit codes of their own: see `windtunnel worker --help`.";

/// How a command ended after printing its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Done,
    /// The campaign ended with failed stages.
    StagesFailed,
    /// The examined data is not sound.
    NotSound,
    /// The campaign was cancelled before its end.
    Cancelled,
    /// Stopped by a signal.
    Interrupted,
    /// A worker's own code, which pools read.
    Worker(worker::ExitCode),
}

impl Exit {
    /// The exit of a command that waited for a campaign.
    pub(crate) fn of_campaign(summary: &CampaignSummary) -> Self {
        if summary.phase() == CampaignPhase::Cancelled {
            return Self::Cancelled;
        }
        let failed = [summary.stages, summary.evaluations].into_iter().flatten().any(|counts| counts.failed > 0);
        if failed { Self::StagesFailed } else { Self::Done }
    }

    /// The process exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::StagesFailed => 3,
            Self::NotSound => 4,
            Self::Cancelled => 5,
            Self::Interrupted => 130,
            Self::Worker(code) => code as u8,
        }
    }
}

/// An error in the request itself: exit code 2.
///
/// Displays like the error inside it and has the same causes.
#[derive(Debug)]
pub(crate) struct BadInput(anyhow::Error);

impl BadInput {
    /// The inner error, if it is of this type.
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

/// Prints an error on one line, and returns the process exit code.
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

/// The failed call to a coordinator behind an error, if any.
pub(crate) fn call_error(error: &anyhow::Error) -> Option<&CallError> {
    if let Some(BranchError::Call(error)) = error.downcast_ref() {
        return Some(error);
    }
    match error.downcast_ref() {
        Some(UploadError::Call(error)) => Some(error),
        _ => error.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn a_cancelled_campaign_is_no_success() {
        let summary = |phase: CampaignPhase| CampaignSummary { phase: phase.into(), ..Default::default() };
        assert_eq!(Exit::of_campaign(&summary(CampaignPhase::Cancelled)).code(), 5);
        assert_eq!(Exit::of_campaign(&summary(CampaignPhase::Ended)).code(), 0);
    }

    #[test]
    fn bad_input_is_known_below_context_and_keeps_its_causes() {
        let inner: anyhow::Result<()> = Err(anyhow!("a cause")).context("a bad path");
        let error = inner.or_bad_input().context("outside").unwrap_err();
        assert!(error.downcast_ref::<BadInput>().is_some());
        assert_eq!(one_line(error.as_ref()), "outside: a bad path: a cause");
    }
}
