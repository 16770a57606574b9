//! `windtunnel cancel`

use serde::Serialize;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Cancel a campaign: stop training what no other campaign needs
///
/// Keeps everything trained so far. Submitting the recipe again continues where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel cancel quickstart")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Cancelled {
    campaign: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let campaign =
            with_coordinator(global, &self.coordinator, async |campaigns| Ok(campaigns.cancel(name).await?))?;
        output::print(&Cancelled { campaign }, global.json)?;
        Ok(Exit::Done)
    }
}

impl View for Cancelled {
    fn table(&self) -> String {
        format!("cancelled {}\n", self.campaign)
    }
}
