//! `windtunnel report`

use std::path::PathBuf;

use client::Measured;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::PROGRAM;
use crate::local::data_dir::{WritableDir, out_dir};
use crate::local::reach::with_coordinator;
use crate::local::training::results;
use crate::views::output;

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
        let measured = with_coordinator(global, &self.coordinator, async |campaigns| {
            Ok(Measured::fetch(campaigns, name, PROGRAM).await?)
        })?;
        let out = out_dir(self.out.as_deref(), &measured.summary.name)?;
        let out = WritableDir::prepare(&out, "the directory of results")?;
        output::print(&results(measured, out.path())?, global.json)?;
        Ok(Exit::Done)
    }
}
