//! `windtunnel report`

use std::path::PathBuf;

use client::Measured;

use crate::args::Global;
use crate::args::{CoordinatorArgs, CountArgs};
use crate::exit::Exit;
use crate::local::PROGRAM;
use crate::local::data_dir::{WritableDir, out_dir};
use crate::local::reach::with_reader;
use crate::local::training::results;
use crate::views::output;

/// Fit the scaling law to a campaign, and write points.csv, fit.json and report.html
///
/// For an unfinished campaign, reports what has been measured so far.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel report quickstart --out results/first")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    /// Directory for the files [default: out/CAMPAIGN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    counting: CountArgs,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let name = &self.campaign;
        let measured = with_reader(global, &self.coordinator, async |campaigns| {
            Ok(Measured::fetch(campaigns, name, PROGRAM).await?)
        })?;
        let out = out_dir(self.out.as_deref(), &measured.summary.name)?;
        let out = WritableDir::prepare(&out, "the directory of results")?;
        output::print(
            &results(measured, out.path(), self.counting.counting(), self.counting.repeated())?,
            global.json,
        )?;
        Ok(Exit::Done)
    }
}
