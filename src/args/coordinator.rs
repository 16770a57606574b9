//! Selecting a coordinator.

use std::path::PathBuf;

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
        hide_env_values = true,
        conflicts_with = "coordinator"
    )]
    pub(crate) rendezvous: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
}
