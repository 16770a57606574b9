//! `windtunnel retry`

use serde::Serialize;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Retry the failed stages of a campaign
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel retry quickstart")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Retried {
    campaign: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let campaign =
            with_coordinator(global, &self.coordinator, async |campaigns| Ok(campaigns.retry(name).await?))?;
        output::print(&Retried { campaign }, global.json)?;
        Ok(Exit::Done)
    }
}

impl View for Retried {
    fn table(&self) -> String {
        format!("{}: failed stages are retried\n", self.campaign)
    }
}
