//! Which coordinator a command speaks with.

use super::CredentialArgs;

/// Which coordinator a command speaks with.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CoordinatorArgs {
    /// Address of the coordinator, for example http://127.0.0.1:7450 [default: the one that serves the data directory]
    #[arg(
        long,
        help_heading = "Coordinator options",
        value_name = "URL",
        env = "WINDTUNNEL_COORDINATOR",
        hide_env_values = true
    )]
    pub(crate) coordinator: Option<String>,

    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,
}
