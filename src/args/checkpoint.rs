//! Selecting a checkpoint.

use super::CoordinatorArgs;

/// Selects a checkpoint.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CheckpointArgs {
    /// Folder of a checkpoint or of an exported model; or a stage key (a prefix is enough) for the stage's last checkpoint; or KEY@STEP
    pub(crate) checkpoint: String,

    #[command(flatten)]
    pub(crate) coordinator: CoordinatorArgs,
}
