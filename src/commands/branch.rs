//! `windtunnel branch`

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::ValueEnum;
use client::{Accepted, Campaigns, own_stage, trained_on};
use corpus::Prepared;
use proto::v1;
use serde::Serialize;
use vocabulary::{DecayShape, Plan, Surgery};

use crate::args::numbers::{count_above_zero, within};
use crate::args::{Global, TrainingArgs};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::checkpoint::stage_and_step;
use crate::local::data_dir::data_dir;
use crate::local::preparing::prepare_texts;
use crate::local::reach::{upload, with_coordinator};
use crate::local::training::Training;
use crate::logging::say;
use crate::views::AdditionView;
use crate::views::output::{self, View};

/// Continue from a checkpoint: a decay, continual training, or other text
///
/// The branch is a campaign of its own: the existing stages up to the checkpoint, and one new stage that continues without
/// warm-up. Other text is tokenized with the stage's tokenizer, and the loss is measured on its own held-out part. With
/// --coordinator the command submits the branch and returns; otherwise it trains like `windtunnel run`. Repeating a branch
/// trains nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel checkpoints list quickstart
  windtunnel branch stage_0a1b2c3d --decay exponential --fraction 0.2 --dry-run
  windtunnel branch stage_0a1b2c3d --data '~/texts/**/*.md' --tokens 2m
  windtunnel branch stage_0a1b2c3d --stable --tokens 10m --peak-lr 0.003
  windtunnel branch stage_0a1b2c3d --surgery untie --name untied")]
pub(crate) struct Args {
    /// Stage key (a prefix is enough), optionally followed by `@` and its last step
    checkpoint: String,

    /// Files, folders, globs or `toolchain-docs` to train on [default: the stage's text]
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    data: Vec<String>,

    /// Fraction of the documents of --data to hold out
    #[arg(long, value_name = "FRACTION", default_value_t = 0.06, value_parser = held_out, requires = "data")]
    validation_fraction: f64,

    /// Shape of the decay [default: linear]
    #[arg(long, value_enum, value_name = "SHAPE", conflicts_with = "stable")]
    decay: Option<Decay>,

    /// Stay at the peak learning rate instead of decaying
    #[arg(long)]
    stable: bool,

    /// Training tokens: 2000000 or 2m
    #[arg(long, value_name = "TOKENS", value_parser = count_above_zero, conflicts_with = "fraction")]
    tokens: Option<u64>,

    /// Training tokens as a fraction of those before the checkpoint [default: 0.1]
    #[arg(long, value_name = "FRACTION")]
    fraction: Option<f64>,

    /// Change the model before the first step; may be given more than once
    #[arg(long, value_enum, value_name = "SURGERY")]
    surgery: Vec<SurgeryName>,

    /// Peak learning rate [default: the stage's]
    #[arg(long, value_name = "LR")]
    peak_lr: Option<f64>,

    /// Final learning rate of the decay, as a fraction of the peak
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    floor: f64,

    /// Name of the branch [default: derived from campaign, stage and decay]
    #[arg(long)]
    name: Option<String>,

    /// Print what would be trained, without training; the text of --data is still prepared
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    training: TrainingArgs,

    /// Directory for points.csv, fit.json and report.html [default: out/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decay {
    /// Straight to the floor
    Linear,
    /// By a constant factor per step
    Exponential,
    /// Half a cosine wave
    Cosine,
    /// 1 - sqrt(progress)
    OneMinusSqrt,
}

impl From<Decay> for DecayShape {
    fn from(decay: Decay) -> Self {
        match decay {
            Decay::Linear => Self::Linear,
            Decay::Exponential => Self::Exponential,
            Decay::Cosine => Self::Cosine,
            Decay::OneMinusSqrt => Self::OneMinusSqrt,
        }
    }
}

/// A surgery as an argument names it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SurgeryName {
    /// Give the output head its own matrix, initially a copy of the embedding, so the model computes the same
    Untie,
}

impl SurgeryName {
    fn on_the_wire(self) -> &'static str {
        match self {
            Self::Untie => Surgery::Untie.name(),
        }
    }
}

fn held_out(text: &str) -> Result<f64, String> {
    within(text, 0.0001..=0.5, "0.0001 to 0.5")
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        self.training.own.compute.check()?;
        if !self.checkpoint.starts_with("stage_") {
            let text = &self.checkpoint;
            return Err(bad_input(anyhow!("`{text}` is not a stage key: `windtunnel checkpoints list` prints them")));
        }
        let (stage, step) = stage_and_step(&self.checkpoint).or_bad_input()?;
        let data_dir = data_dir(global)?;
        let is_local = !self.training.coordinator.is_given();
        let (request, prepared, plan, stages_done) =
            with_coordinator(global, &self.training.coordinator, async |campaigns| {
                let mut request = self.request(stage, step);
                let prepared = self.prepare(campaigns, &request, &data_dir).await?;
                request.dataset = prepared.as_ref().map(|prepared| (&prepared.dataset).into());
                let (plan, stages_done) =
                    campaigns.branch(v1::BranchCampaignRequest { dry_run: true, ..request.clone() }).await?;
                if !self.dry_run && !is_local {
                    hand_in(campaigns, &request, prepared.as_ref()).await?;
                }
                Ok((request, prepared, plan, stages_done))
            })?;
        let branched = Branched::of(&plan, stages_done)?;
        if self.dry_run || !is_local {
            output::print(&branched, global.json)?;
            return Ok(Exit::Done);
        }
        say(branched.table().trim_end());
        let ask = async |campaigns: &mut Campaigns| hand_in(campaigns, &request, prepared.as_ref()).await;
        Training { by: &self.training, data_dir: &data_dir, storage: None, store: None }.add(
            &plan.name,
            self.out.as_deref(),
            global,
            ask,
        )
    }

    fn request(&self, stage: &str, step: Option<u64>) -> v1::BranchCampaignRequest {
        let decay = DecayShape::from(self.decay.unwrap_or(Decay::Linear)).name();
        v1::BranchCampaignRequest {
            stage: stage.to_owned(),
            step,
            name: self.name.clone().unwrap_or_default(),
            tokens: self.tokens.unwrap_or_default(),
            fraction: if self.tokens.is_some() { 0.0 } else { self.fraction.unwrap_or(0.1) },
            decay: if self.stable { String::new() } else { decay.to_owned() },
            floor: self.floor,
            peak_lr: self.peak_lr,
            surgery: self.surgery.iter().map(|surgery| surgery.on_the_wire().to_owned()).collect(),
            dataset: None,
            dry_run: false,
        }
    }

    /// The text of `--data`, tokenized with the stage's tokenizer.
    async fn prepare(
        &self,
        campaigns: &mut Campaigns,
        request: &v1::BranchCampaignRequest,
        data_dir: &Path,
    ) -> anyhow::Result<Option<Prepared>> {
        if self.data.is_empty() {
            return Ok(None);
        }
        let trained_on = trained_on(campaigns, request).await?;
        let fraction = self.validation_fraction;
        let prepared = prepare_texts(campaigns, &trained_on, &self.data, fraction, data_dir).await?;
        Ok(Some(prepared))
    }
}

/// Submits the branch, after its text.
async fn hand_in(
    campaigns: &mut Campaigns,
    request: &v1::BranchCampaignRequest,
    prepared: Option<&Prepared>,
) -> anyhow::Result<Accepted> {
    if let Some(prepared) = prepared {
        upload(campaigns, prepared).await?;
    }
    Ok(client::branch(campaigns, request.clone()).await?)
}

/// A branch: what it trains, and what it continues from.
#[derive(Debug, Serialize)]
struct Branched {
    campaign: String,
    name: String,
    description: String,
    #[serde(flatten)]
    addition: AdditionView,
}

impl Branched {
    /// From a plan of which `stages_done` stages are done.
    fn of(plan: &Plan, stages_done: u32) -> anyhow::Result<Self> {
        let (_, before) = own_stage(plan)?;
        let (done, new) = plan.stages.split_at(before.len().max(stages_done as usize).min(plan.stages.len()));
        Ok(Self {
            campaign: plan.campaign.to_string(),
            name: plan.name.clone(),
            description: plan.description.clone(),
            addition: AdditionView::of(new, done.iter()),
        })
    }
}

impl View for Branched {
    fn table(&self) -> String {
        let Self { campaign, name, description, addition } = self;
        format!("{name} ({campaign})\n{description}\n{}", addition.table())
    }
}
