//! `windtunnel report`

use std::path::PathBuf;

use report::AnalysisOptions;

use crate::cli::Global;
use crate::client::{CoordinatorArgs, with_coordinator};
use crate::data_dir::WritableDir;
use crate::exit::Exit;
use crate::output;
use crate::results::{Campaign, out_dir};

/// Fit the scaling law to the losses of a campaign, and write points.csv, fit.json and report.html
///
/// Of a campaign that is not finished it is a report of what is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel report quickstart --out results/first")]
pub(crate) struct Args {
    /// The campaign's name, its identifier, or the beginning of it
    campaign: String,

    /// Where to write the files [default: out/CAMPAIGN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let fetched =
            with_coordinator(global, &self.coordinator, async |campaigns| Campaign::fetch(campaigns, name).await);
        let campaign = fetched?;
        let out = out_dir(self.out.as_deref(), &campaign.summary().name)?;
        let out = WritableDir::prepare(&out, "the directory of results")?;
        output::print(&campaign.conclude(out.path(), &AnalysisOptions::default())?, global.json)?;
        Ok(Exit::Done)
    }
}
