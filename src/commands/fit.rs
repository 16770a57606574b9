//! `windtunnel fit`

use crate::cli::Global;
use crate::client::{CoordinatorArgs, with_coordinator};
use crate::exit::Exit;
use crate::output;
use crate::results::Campaign;

/// Fit the scaling law to the losses of a campaign, and print it
///
/// Trains nothing and writes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel fit quickstart
  windtunnel fit quickstart --json")]
pub(crate) struct Args {
    /// The campaign's name, its identifier, or the beginning of it
    campaign: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let fetched =
            with_coordinator(global, &self.coordinator, async |campaigns| Campaign::fetch(campaigns, name).await);
        output::print(&fetched?.fit(), global.json)?;
        Ok(Exit::Done)
    }
}
