//! `windtunnel list`

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_reader;
use crate::views::output;
use crate::views::{CampaignList, CampaignView};

/// List all campaigns
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel list")]
pub(crate) struct Args {
    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let (campaigns, info) = with_reader(global, &self.coordinator, async |campaigns| {
            Ok((campaigns.list().await?, campaigns.info().await?))
        })?;
        let campaigns = campaigns.iter().map(CampaignView::from).collect();
        output::print(&CampaignList { campaigns, troubles: info.troubles }, global.json)?;
        Ok(Exit::Done)
    }
}
