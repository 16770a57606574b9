//! `windtunnel plan`

use std::path::PathBuf;

use clap::ValueEnum;
use recipes::plan::Cost;
use recipes::{Plan, Recipe, expand, show, sketch};
use serde::Serialize;

use crate::cli::Global;
use crate::data_dir::data_dir;
use crate::exit::{Exit, OrBadInput};
use crate::output::{self, View};
use crate::preparing::prepared_before;

/// Print what a recipe would train: the stage tree, its cost, and what sharing saves
///
/// Nothing is trained and nothing is written. Keys of stages are final once the data is prepared, by `windtunnel data
/// prepare` or a first run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel plan recipes/quickstart.toml
  windtunnel plan recipes/paper/scaling-law.toml --view points")]
pub(crate) struct Args {
    /// The recipe's file
    recipe: PathBuf,

    /// What to show
    #[arg(long, value_enum, default_value_t = Shown::Tree)]
    view: Shown,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shown {
    /// The stages, each below the one it starts from
    Tree,
    /// The points, a line each
    Points,
}

#[derive(Serialize)]
struct Planned {
    plan: Plan,
    cost: Cost,
    #[serde(skip)]
    shown: Shown,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        let plan = match prepared_before(&recipe, &data_dir(global)?) {
            Some(prepared) => expand(&recipe, &prepared.dataset),
            None => sketch(&recipe),
        };
        let plan = plan.or_bad_input()?;
        output::print(&Planned { cost: plan.cost(), plan, shown: self.view }, global.json)?;
        Ok(Exit::Done)
    }
}

impl View for Planned {
    fn table(&self) -> String {
        match self.shown {
            Shown::Tree => show::tree(&self.plan),
            Shown::Points => show::table(&self.plan),
        }
    }
}
