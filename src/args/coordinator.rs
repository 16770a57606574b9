//! Selecting a coordinator.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::CredentialArgs;

/// Selects a coordinator.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CoordinatorArgs {
    /// Address of the coordinator, for example https://login-1:7450 [default: the one serving the data directory]
    ///
    /// Several addresses, separated by commas, are tried in turn: those of coordinators that stand by for each other
    #[arg(
        long,
        help_heading = "Coordinator options",
        value_name = "URL",
        env = "WINDTUNNEL_COORDINATOR",
        hide_env_values = true
    )]
    pub(crate) coordinator: Option<String>,

    /// File in which a coordinator announces where it is (`serve --announce`), read at each dial
    #[arg(
        long,
        help_heading = "Coordinator options",
        hide_short_help = true,
        value_name = "FILE",
        env = "WINDTUNNEL_RENDEZVOUS",
        hide_env_values = true
    )]
    pub(crate) rendezvous: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
}

/// Where the coordinator is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked<'a> {
    Nowhere,
    At(&'a str),
    AnnouncedIn(&'a Path),
}

impl CoordinatorArgs {
    /// Whether it was said where the coordinator is.
    pub(crate) fn is_given(&self) -> bool {
        self.coordinator.is_some() || self.rendezvous.is_some()
    }

    /// What was asked for. An option given by hand counts before a variable.
    ///
    /// # Errors
    /// If both are given by hand, or both by variables.
    pub(crate) fn asked(&self) -> anyhow::Result<Asked<'_>> {
        let (Some(url), Some(file)) = (&self.coordinator, &self.rendezvous) else {
            let at = self.coordinator.as_deref().map(Asked::At);
            return Ok(at.or(self.rendezvous.as_deref().map(Asked::AnnouncedIn)).unwrap_or(Asked::Nowhere));
        };
        let is_of = |variable: &str, value: &OsStr| std::env::var_os(variable).is_some_and(|set| set == value);
        match (is_of("WINDTUNNEL_COORDINATOR", url.as_ref()), is_of("WINDTUNNEL_RENDEZVOUS", file.as_os_str())) {
            (false, true) => Ok(Asked::At(url)),
            (true, false) => Ok(Asked::AnnouncedIn(file)),
            (true, true) => bail!(
                "WINDTUNNEL_COORDINATOR and WINDTUNNEL_RENDEZVOUS both say where the coordinator is: unset one of them"
            ),
            (false, false) => {
                bail!("--coordinator and --rendezvous both say where the coordinator is: give one of them")
            }
        }
    }
}
