//! `windtunnel train`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use recipes::Recipe;
use serde::Serialize;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Dataset, Domain, Measurements, Plan, Stage, StageKey};
use worker::{StandaloneOptions, StandaloneProgress, StandaloneResult, train_standalone};

use crate::args::Compute;
use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::preparing::prepare_data;
use crate::local::signals::stopped_by_signals;
use crate::logging::say;
use crate::views::others;
use crate::views::output::{self, View};

const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Train one stage of a recipe locally, without a coordinator
///
/// Trains the stages it depends on first, unless an earlier `train` has; checkpoints of campaigns are not used. Does not
/// appear among campaigns.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel plan recipes/smoke.toml
  windtunnel train recipes/smoke.toml --stage stage_1f2e3d4c")]
pub(crate) struct Args {
    /// Recipe file
    recipe: PathBuf,

    /// Stage key as printed by `windtunnel plan`; a prefix is enough
    #[arg(long, value_name = "KEY")]
    stage: String,

    #[command(flatten)]
    compute: Compute,
}

#[derive(Serialize)]
struct Trained {
    stage: StageKey,
    size: String,
    role: &'static str,
    end_step: u64,
    /// Nats a token.
    validation_loss: f64,
    /// Nats a byte.
    validation_loss_per_byte: f64,
    /// Per domain, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sets: Vec<TrainedSet>,
    /// What else was measured; `null` where it is not a number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    measurements: BTreeMap<String, f64>,
    checkpoint: String,
}

#[derive(Serialize)]
struct TrainedSet {
    name: String,
    /// Nats a token.
    per_token: f64,
    /// Nats a byte.
    per_byte: f64,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        self.compute.check()?;
        let prepared = prepare_data(&recipe, data_dir.path())?;
        let plan = recipes::expand(&recipe, &prepared.dataset).or_bad_input()?;
        let stage = find(&plan, &self.stage)?;
        let options = StandaloneOptions {
            plan: &plan,
            stage: stage.key,
            data_dir: data_dir.path().to_owned(),
            memory_bytes: self.compute.memory_bytes(),
            threads: usize::from(self.compute.threads),
            device: self.compute.device,
            interrupter: stopped_by_signals()?,
        };
        let mut lines = Lines::default();
        let result = train_standalone(&options, &mut |progress| lines.show(progress))?;
        match result {
            StandaloneResult::Completed { result, checkpoint } => {
                let trained = Trained {
                    stage: stage.key,
                    size: stage.size.clone(),
                    role: stage.role.name(),
                    end_step: stage.spec.steps.end,
                    validation_loss: result.get(VALIDATION_LOSS).unwrap_or(f64::NAN),
                    validation_loss_per_byte: result.get(VALIDATION_LOSS_PER_BYTE).unwrap_or(f64::NAN),
                    sets: sets(&prepared.dataset, &result),
                    measurements: others(&result),
                    checkpoint: checkpoint.manifest_path,
                };
                output::print(&trained, global.json)?;
                Ok(Exit::Done)
            }
            StandaloneResult::Diverged { stage, step, loss } => {
                say(&format!("{} diverged at step {} with a loss of {loss}", stage.short(), step + 1));
                Ok(Exit::StagesFailed)
            }
            StandaloneResult::Stopped => {
                say("stopped; finished stages are kept");
                Ok(Exit::Interrupted)
            }
        }
    }
}

fn sets(dataset: &Dataset, result: &Measurements) -> Vec<TrainedSet> {
    let set = |(index, domain): (usize, &Domain)| {
        let (per_token, per_byte) =
            (result.get(VALIDATION_LOSS.part(index))?, result.get(VALIDATION_LOSS_PER_BYTE.part(index))?);
        Some(TrainedSet { name: domain.name.clone(), per_token, per_byte })
    };
    dataset.domains.iter().enumerate().filter_map(set).collect()
}

/// The stage with this key prefix.
fn find<'a>(plan: &'a Plan, beginning: &str) -> anyhow::Result<&'a Stage> {
    let mut stages = plan.stages.iter().filter(|stage| stage.key.to_string().starts_with(beginning));
    match (stages.next(), stages.next()) {
        (Some(stage), None) => Ok(stage),
        (None, _) => Err(bad_input(anyhow!("{} has no stage whose key begins with `{beginning}`", plan.name))),
        (Some(_), Some(_)) => {
            Err(bad_input(anyhow!("several stage keys begin with `{beginning}`: give a longer prefix")))
        }
    }
}

/// Progress lines on standard error, every few seconds.
#[derive(Default)]
struct Lines {
    latest: Option<Instant>,
}

impl Lines {
    fn show(&mut self, progress: StandaloneProgress<'_>) {
        let name = |stage: &Stage| format!("{} {} {}", stage.key.short(), stage.size, stage.role.name());
        match progress {
            StandaloneProgress::Begun(stage) => {
                let steps = stage.spec.steps.clone();
                say(&format!("{}: training steps {} to {}", name(stage), steps.start + 1, steps.end));
                self.latest = Some(Instant::now());
            }
            StandaloneProgress::Found(stage) => say(&format!("{}: already trained", name(stage))),
            StandaloneProgress::Stored(stage) => say(&format!("{}: checkpoint stored", name(stage))),
            StandaloneProgress::Step(stage, report) => {
                if self.latest.is_some_and(|latest| latest.elapsed() < BETWEEN_LINES) {
                    return;
                }
                self.latest = Some(Instant::now());
                let (step, end) = (report.step + 1, stage.spec.steps.end);
                let (loss, rate) = (report.loss, report.learning_rate);
                say(&format!("{}: step {step} of {end}  loss {loss:.4}  LR {rate:.2e}", name(stage)));
            }
        }
    }
}

impl View for Trained {
    fn table(&self) -> String {
        let Self { stage, size, role, end_step, validation_loss, validation_loss_per_byte, sets, .. } = self;
        let of = |TrainedSet { name, per_token, per_byte }: &TrainedSet| {
            format!("  {name} {per_token:.4} nats a token, {per_byte:.4} nats a byte\n")
        };
        let sets: String = sets.iter().map(of).collect();
        let others: String = self.measurements.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        format!(
            "{}  {size} {role}  {end_step} steps\nvalidation loss {validation_loss:.4} nats a token, \
             {validation_loss_per_byte:.4} nats a byte\n{sets}{others}checkpoint {}\n",
            stage.short(),
            self.checkpoint
        )
    }
}
