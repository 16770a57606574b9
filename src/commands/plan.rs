//! `windtunnel plan`

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;
use recipes::price::{DEVICES, Device, Price, Speeds};
use recipes::{Recipe, expand, price, show, sketch};
use serde::Serialize;
use vocabulary::{Cost, Plan};

use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input, one_line};
use crate::local::data_dir::data_dir;
use crate::local::preparing::prepared_before;
use crate::views::output::{self, View};

/// Print what a recipe would train: the stage tree, what it costs, and what sharing saves
///
/// Nothing is trained and nothing is written. Keys of stages are final once the data is prepared, by `windtunnel data
/// prepare` or a first run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel plan recipes/quickstart.toml
  windtunnel plan recipes/paper/scaling-law.toml --view points
  windtunnel plan recipes/paper/scaling-law.toml --device h100 --mfu 0.4 --workers 8")]
pub(crate) struct Args {
    /// The recipe's file
    recipe: PathBuf,

    /// What to show [default: tree; price where an option below is given]
    #[arg(long, value_enum)]
    view: Option<Shown>,

    /// Price it for this device: h100, h200, a100, l40s or rtx4090, by its data sheet [default: by what stages took that
    /// were trained in the data directory]
    #[arg(long, value_name = "NAME", value_parser = device, help_heading = "Price")]
    device: Option<Device>,

    /// The share of the device's peak that training is taken to reach (model FLOP/s utilisation)
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = share, requires = "device", help_heading = "Price")]
    mfu: f64,

    /// Tokens a second on one device, of all sizes or as SIZE=N of one
    #[arg(long, value_name = "[SIZE=]N", value_delimiter = ',', value_parser = tokens_per_second, help_heading = "Price")]
    tokens_per_second: Vec<(Option<String>, f64)>,

    /// Workers, one device each: how long they take together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Price")]
    workers: Option<u16>,
}

fn device(name: &str) -> Result<Device, String> {
    let known = DEVICES.map(|device| device.name).join(", ");
    Device::find(name).ok_or_else(|| format!("accepted: {known}; or --tokens-per-second for another"))
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("accepted: above 0, to 1".to_owned()) }
}

fn tokens_per_second(text: &str) -> Result<(Option<String>, f64), String> {
    let (size, number) = text.rsplit_once('=').map_or((None, text), |(size, number)| (Some(size.to_owned()), number));
    let number: f64 = number.parse().map_err(|_| "not a number".to_owned())?;
    if number > 0.0 && number.is_finite() { Ok((size, number)) } else { Err("accepted: above 0".to_owned()) }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shown {
    /// The stages, each below the one it starts from
    Tree,
    /// The points, a line each
    Points,
    /// The sizes, a line each: operations, time, memory and checkpoints, and where each figure comes from
    Price,
}

#[derive(Serialize)]
struct Planned {
    plan: Plan,
    cost: Cost,
    price: Price,
    #[serde(skip)]
    shown: Shown,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        let data_dir = data_dir(global)?;
        let speeds = self.speeds(&recipe, &data_dir)?;
        let plan = match prepared_before(&recipe, &data_dir) {
            Some(prepared) => expand(&recipe, &prepared.dataset),
            None => sketch(&recipe),
        };
        let plan = plan.or_bad_input()?;
        let price = price(&plan, &speeds, self.workers.map(usize::from));
        let is_priced = self.device.is_some() || !self.tokens_per_second.is_empty() || self.workers.is_some();
        let shown = self.view.unwrap_or(if is_priced { Shown::Price } else { Shown::Tree });
        output::print(&Planned { cost: plan.cost(), price, plan, shown }, global.json)?;
        Ok(Exit::Done)
    }

    /// What is known of how fast stages are trained.
    fn speeds(&self, recipe: &Recipe, data_dir: &Path) -> anyhow::Result<Speeds> {
        let mut speeds = Speeds { device: self.device.map(|device| (device, self.mfu)), ..Speeds::default() };
        let sizes = recipe.sizes();
        for (size, number) in &self.tokens_per_second {
            match size {
                None => speeds.stated = Some(*number),
                Some(size) if sizes.iter().any(|(name, _)| name == size) => {
                    speeds.stated_of.insert(size.clone(), *number);
                }
                Some(size) => {
                    let known: Vec<_> = sizes.iter().map(|(name, _)| *name).collect();
                    return Err(bad_input(anyhow!("--tokens-per-second: no size `{size}` among {}", known.join(", "))));
                }
            }
        }
        if speeds.device.is_none() && speeds.stated.is_none() {
            match crate::local::runtime()?.block_on(coordinator::store::measured_speeds(data_dir)) {
                Ok(measured) => speeds.measured = measured,
                Err(error) => {
                    tracing::warn!(error = one_line(&error), "what stages took in the data directory is left out")
                }
            }
        }
        Ok(speeds)
    }
}

impl View for Planned {
    fn table(&self) -> String {
        match self.shown {
            Shown::Tree => show::tree(&self.plan),
            Shown::Points => show::table(&self.plan),
            Shown::Price => recipes::price::table(&self.plan, &self.price),
        }
    }
}
