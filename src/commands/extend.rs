//! `windtunnel extend`

use std::collections::BTreeSet;
use std::path::PathBuf;

use client::{Campaigns, Detail, larger};
use recipes::Additions;
use serde::Serialize;
use vocabulary::{Growth, StageKey};

use crate::args::numbers::{Several, counts_above_zero, quantities};
use crate::args::{Global, TrainingArgs};
use crate::exit::{Exit, OrBadInput};
use crate::local::data_dir::data_dir;
use crate::local::reach::with_coordinator;
use crate::local::training::Training;
use crate::logging::say;
use crate::views::AdditionView;
use crate::views::output::{self, View};

/// Add points, sizes, seeds, learning rates or trials to a campaign and train only what is new
///
/// The campaign, running or finished, keeps its identifier and results; its recipe becomes the larger one. It keeps using
/// its own prepared text, even if the source files have changed. With --coordinator the command submits the extension and
/// returns; otherwise it trains and writes results like `windtunnel run`. If stopped or killed, the same command continues
/// where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel extend quickstart --tokens 2.6m 3.1m --dry-run
  windtunnel extend quickstart --tokens 3.1m --seeds 2 3
  windtunnel extend search --trials 96
  windtunnel extend big --sizes 0.2b --coordinator https://login-1:7450")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    #[command(flatten)]
    more: More,

    /// Print what would be trained, without training
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    training: TrainingArgs,

    /// Directory for points.csv, fit.json and report.html [default: out/CAMPAIGN]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What to add.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = true)]
struct More {
    /// Points in tokens: 4000000 or 4m (`points.tokens` in the recipe)
    #[arg(long, value_name = "TOKENS", num_args = 1.., value_parser = counts_above_zero)]
    tokens: Vec<Several<u64>>,

    /// Points in multiples of non-embedding parameters (`points.times_n`)
    #[arg(long, value_name = "TIMES", num_args = 1.., value_parser = quantities)]
    tokens_per_param: Vec<Several<f64>>,

    /// Sizes from the ladder or the recipe's shapes (`model.sizes`)
    #[arg(long, value_name = "SIZE", num_args = 1.., value_delimiter = ',')]
    sizes: Vec<String>,

    /// Seeds to add (`seeds`)
    #[arg(long, value_name = "SEED", num_args = 1.., value_delimiter = ',')]
    seeds: Vec<u64>,

    /// Peak learning rates (`optimizer.peak_lr`)
    #[arg(long, value_name = "LR", num_args = 1.., value_parser = quantities)]
    peak_lr: Vec<Several<f64>>,

    /// New total number of trials of a search (`search.trials`)
    #[arg(long, value_name = "COUNT")]
    trials: Option<u32>,
}

impl From<More> for Additions {
    fn from(more: More) -> Self {
        let More { tokens, tokens_per_param, sizes, seeds, peak_lr, trials } = more;
        let (tokens, times_n) = (Several::all(&tokens), Several::all(&tokens_per_param));
        Self { tokens, times_n, sizes, seeds, peak_lr: Several::all(&peak_lr), trials }
    }
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        self.training.own.compute.check()?;
        let (name, more) = (&self.campaign, Additions::from(self.more.clone()));
        let is_local = !self.training.coordinator.is_given();
        let looked = with_coordinator(global, &self.training.coordinator, async |campaigns| {
            let detail = campaigns.detail(name).await?;
            let (recipe, growth) = larger(&detail, &more).or_bad_input()?;
            if self.dry_run || is_local {
                return Ok((detail, recipe, growth));
            }
            campaigns.extend(&detail.summary.campaign, &recipe).await?;
            Ok((detail, recipe, growth))
        });
        let (detail, recipe, growth) = looked?;
        let extension = Extension::of(&detail, &growth);
        if growth.is_empty() {
            say(&format!("nothing to add: {} already has everything", detail.plan.name));
        }
        if self.dry_run || !is_local {
            output::print(&extension, global.json)?;
            return Ok(Exit::Done);
        }
        if !growth.is_empty() {
            say(extension.table().trim_end());
        }
        let campaign = &detail.summary.campaign;
        let ask = async |campaigns: &mut Campaigns| Ok(client::extend(campaigns, campaign, &recipe).await?);
        let training = Training { by: &self.training, data_dir: &data_dir(global)?, storage: None, store: None };
        training.add(&detail.plan.name, self.out.as_deref(), global, ask)
    }
}

/// The extension of a campaign.
#[derive(Debug, Serialize)]
struct Extension {
    campaign: String,
    name: String,
    trials_added: usize,
    #[serde(flatten)]
    addition: AdditionView,
}

impl Extension {
    fn of(detail: &Detail, growth: &Growth) -> Self {
        let along: BTreeSet<StageKey> = growth.trials.iter().flat_map(|trial| trial.path.iter().copied()).collect();
        let shared = detail.plan.stages.iter().filter(|stage| along.contains(&stage.key));
        Self {
            campaign: detail.summary.campaign.clone(),
            name: detail.plan.name.clone(),
            trials_added: detail.plan.grown(growth).trials_in_the_end() - detail.plan.trials_in_the_end(),
            addition: AdditionView::of(&growth.stages, shared),
        }
    }
}

impl View for Extension {
    fn table(&self) -> String {
        let Self { campaign, name, trials_added, addition } = self;
        if addition.is_empty() && *trials_added == 0 {
            return String::new();
        }
        if addition.is_empty() && *trials_added > 0 {
            return format!("{name} ({campaign}) grows by {trials_added} trials, chosen as results come in\n");
        }
        format!("{name} ({campaign}) grows by {trials_added} trials\n{}", addition.table())
    }
}
