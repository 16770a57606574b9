//! `windtunnel plan`

use std::ops::Bound;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;
use corpus::{OpenDataset, Sample, samples};
use recipes::price::{DEVICES, Device, Price, Speeds};
use recipes::{Recipe, expand, price, show, sketch};
use serde::Serialize;
use vocabulary::text::{one_line, wrapped};
use vocabulary::{Cost, Plan};

use crate::args::Global;
use crate::args::numbers::{Several, quantity, several, within};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::data_dir;
use crate::local::preparing::{notes, prepared_before};
use crate::views::held_out;
use crate::views::output::{self, View};

/// Print what a recipe would train: the stage tree, its cost, and what sharing saves
///
/// Trains and writes nothing. Stage keys are final once the data is prepared, by `windtunnel data prepare` or a first run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel plan recipes/quickstart.toml
  windtunnel plan recipes/paper/scaling-law.toml --view points
  windtunnel plan recipes/paper/scaling-law.toml --device h100 --workers 8")]
pub(crate) struct Args {
    /// Recipe file
    recipe: PathBuf,

    /// What to show [default: tree, or price if a price option is given]
    #[arg(long, value_enum)]
    view: Option<Shown>,

    /// Price for this device by its data sheet: h100, h200, a100, l40s or rtx4090 [default: by the measured speed of stages in
    /// the data directory]
    #[arg(long, value_name = "NAME", value_parser = device, help_heading = "Price")]
    device: Option<Device>,

    /// Assumed fraction of the device's peak (model FLOP/s utilisation)
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = share, requires = "device", help_heading = "Price")]
    mfu: f64,

    /// Tokens per second on one device, for all sizes or as SIZE=N for one
    #[arg(long, value_name = "[SIZE=]N", value_parser = tokens_per_second, help_heading = "Price")]
    tokens_per_second: Vec<Several<(Option<String>, f64)>>,

    /// Number of workers, one device each, to estimate the total time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Price")]
    workers: Option<u16>,
}

fn device(name: &str) -> Result<Device, String> {
    let known = DEVICES.map(|device| device.name).join(", ");
    Device::find(name).ok_or_else(|| format!("accepted: {known}; for other devices use --tokens-per-second"))
}

fn share(text: &str) -> Result<f64, String> {
    within(text, (Bound::Excluded(0.0), Bound::Included(1.0)), "above 0, to 1")
}

fn tokens_per_second(text: &str) -> Result<Several<(Option<String>, f64)>, String> {
    several(text, |text| {
        let (size, number) =
            text.rsplit_once('=').map_or((None, text), |(size, number)| (Some(size.to_owned()), number));
        Ok((size, quantity(number)?))
    })
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shown {
    /// The stage tree
    Tree,
    /// One line per point
    Points,
    /// One line per size: operations, time, memory, checkpoints, and the source of each figure
    Price,
}

#[derive(Serialize)]
struct Planned {
    plan: Plan,
    cost: Cost,
    price: Price,
    /// What its losses are measured on, once the data is prepared.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held_out: Vec<Sample>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip)]
    shown: Shown,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        let data_dir = data_dir(global)?;
        let speeds = self.speeds(&recipe, &data_dir)?;
        let prepared = prepared_before(&recipe, &data_dir);
        let plan = match &prepared {
            Some(prepared) => expand(&recipe, &prepared.dataset),
            None => sketch(&recipe),
        };
        let plan = plan.or_bad_input()?;
        let opened = prepared.as_ref().map(|prepared| OpenDataset::open(&prepared.dir)).transpose()?;
        let held_out = opened.map(|data| samples(&data, recipe.data().validation_tokens)).unwrap_or_default();
        let price = price(&plan, &speeds, self.workers.map(usize::from));
        let is_priced = self.device.is_some() || !self.tokens_per_second.is_empty() || self.workers.is_some();
        let shown = self.view.unwrap_or(if is_priced { Shown::Price } else { Shown::Tree });
        let notes = notes(&recipe, prepared.as_ref().map(|prepared| &prepared.dataset));
        output::print(&Planned { cost: plan.cost(), price, notes, plan, held_out, shown }, global.json)?;
        Ok(Exit::Done)
    }

    /// What is known about training speed.
    fn speeds(&self, recipe: &Recipe, data_dir: &Path) -> anyhow::Result<Speeds> {
        let mut speeds = Speeds { device: self.device.map(|device| (device, self.mfu)), ..Speeds::default() };
        let sizes = recipe.sizes();
        for (size, number) in self.tokens_per_second.iter().flat_map(|several| &several.0) {
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
                    tracing::warn!(error = one_line(&error), "ignoring measured speeds in the data directory")
                }
            }
        }
        Ok(speeds)
    }
}

impl View for Planned {
    fn table(&self) -> String {
        let text = match self.shown {
            Shown::Tree => show::tree(&self.plan),
            Shown::Points => show::table(&self.plan),
            Shown::Price => recipes::price::table(&self.plan, &self.price),
        };
        let held_out = match self.shown {
            Shown::Price => String::new(),
            Shown::Tree | Shown::Points => held_out::lines(&self.held_out),
        };
        let notes = self.notes.iter().map(|note| wrapped(&format!("note: {note}"), 2));
        notes.fold(text + &held_out, |text, note| text + &note)
    }
}
