//! `windtunnel submit`

mod slurm;

use std::path::PathBuf;

use anyhow::anyhow;
use client::Accepted;
use recipes::Recipe;
use serde::Serialize;
use vocabulary::text::counted;

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::preparing::prepare_data;
use crate::local::reach::{reach, upload};
use crate::views::output::{self, View};

/// Submit a recipe to a running coordinator and return
///
/// Prepares the data locally, in the data directory, and copies it to the coordinator's storage if that is elsewhere.
/// Campaigns take turns by how much was trained for them: one with `--weight 3` gets three times as much as one without.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel submit recipes/quickstart.toml --coordinator https://login-1:7450
  windtunnel watch quickstart --coordinator https://login-1:7450

Everything as jobs of Slurm, from a login node, with a data directory that the
nodes reach:
  windtunnel submit recipes/quickstart.toml --slurm --data-dir /shared/me/qs \\
      --time 8h --max 16 -- --partition=gpu --cpus-per-task=8 --mem=32G")]
pub(crate) struct Args {
    /// Recipe file
    recipe: PathBuf,

    /// Share of the workers beside other campaigns, 1 to 1000 [default: as before, at first 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    weight: Option<u32>,

    #[command(flatten)]
    slurm: slurm::SlurmArgs,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Submitted {
    campaign: String,
    name: String,
    stages: u32,
    stages_done: u32,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        if self.slurm.slurm {
            if self.coordinator.is_given() {
                return Err(bad_input(anyhow!(
                    "--slurm starts a coordinator of its own: give no --coordinator or --rendezvous, and unset \
                     WINDTUNNEL_COORDINATOR and WINDTUNNEL_RENDEZVOUS"
                )));
            }
            return self.slurm.run(&self.recipe, &recipe, self.weight, global);
        }
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        let submitted = crate::local::runtime()?.block_on(async {
            let Some(mut reached) = reach(&self.coordinator, data_dir.path()).await? else {
                return Err(bad_input(anyhow!(
                    "no coordinator serves {}: give --coordinator URL, or start one with `windtunnel serve`",
                    data_dir.path().display()
                )));
            };
            let prepared = prepare_data(&recipe, data_dir.path())?;
            upload(&mut reached.campaigns, &prepared).await?;
            Ok(client::submit(&mut reached.campaigns, &recipe, &prepared.dataset, self.weight).await?)
        })?;
        let Accepted { campaign, name, stages, stages_done, .. } = submitted;
        output::print(&Submitted { campaign, name, stages, stages_done }, global.json)?;
        Ok(Exit::Done)
    }
}

impl View for Submitted {
    fn table(&self) -> String {
        let Self { campaign, name, stages, stages_done } = self;
        format!("submitted {name} as {campaign}: {}, {stages_done} already done\n", counted(*stages, "stage"))
    }
}
