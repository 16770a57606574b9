//! Options of every command.

use std::path::PathBuf;

use clap::Args;

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print JSON instead of tables
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,

    /// Directory of datasets, checkpoints and the store [default: the platform's data directory]
    #[arg(long, global = true, value_name = "DIR", env = "WINDTUNNEL_DATA_DIR", hide_env_values = true)]
    #[arg(help_heading = "Global options")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Log filter for standard error, for example `info` or `coordinator=debug` [default: RUST_LOG]
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Global options")]
    pub(crate) log: Option<String>,
}
