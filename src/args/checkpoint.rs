//! Which checkpoint a command is about.

use super::CoordinatorArgs;

/// Which checkpoint.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CheckpointArgs {
    /// A checkpoint's folder, or that of an exported model; or a stage's key, or the beginning of it, for the stage's last checkpoint; or KEY@STEP
    pub(crate) checkpoint: String,

    #[command(flatten)]
    pub(crate) coordinator: CoordinatorArgs,
}
