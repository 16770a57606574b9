//! `windtunnel cancel`

use serde::Serialize;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Cancel a campaign: what it alone needs is not trained any further
///
/// What is trained stays. Submitting the recipe again goes on where it stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel cancel quickstart")]
pub(crate) struct Args {
    /// The campaign's name, its identifier, or the beginning of it
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
