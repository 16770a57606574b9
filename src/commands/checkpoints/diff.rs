//! `windtunnel checkpoints diff`

use anyhow::{Context, anyhow, ensure};
use serde::Serialize;
use trainer::change::{WeightChange, changes};
use vocabulary::dynamics::larger;
use vocabulary::{ParamKind, Trial};

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::checkpoint::{Checkpoint, fetch};
use crate::local::reach::with_reader;
use crate::views::output::{self, View, columns};
use client::{Campaigns, Detail};

/// Measure how far weights moved between two checkpoints, or along a trial
///
/// Per parameter: the largest change of a single weight, the RMS change, and the norm of the change relative to the
/// parameter's norm before. If only one of the two has a head of its own, it is compared with the other's embedding.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel checkpoints diff stage_1f2e3d4c@600 stage_1f2e3d4c
  windtunnel checkpoints diff my-model my-tuned-model --json
  windtunnel checkpoints diff --along quickstart/trial_5a6b7c8d")]
pub(super) struct DiffArgs {
    /// First checkpoint: folder of a checkpoint or exported model; or a stage key (a prefix is enough) for the stage's last
    /// checkpoint; or KEY@STEP
    #[arg(value_name = "A", required_unless_present = "along", requires = "after")]
    before: Option<String>,

    /// Second checkpoint, likewise
    #[arg(value_name = "B")]
    after: Option<String>,

    /// Compare consecutive checkpoints of this trial, given as campaign name and trial identifier (or prefix) from points.csv
    #[arg(long, value_name = "CAMPAIGN/TRIAL", conflicts_with_all = ["before", "after"])]
    along: Option<String>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// The difference between two checkpoints.
#[derive(Debug, Serialize)]
struct Difference {
    from: String,
    to: String,
    /// Completed steps of each.
    steps: [u64; 2],
    /// The learning rate of the last step before the second; `None` if the plan is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_rate: Option<f64>,
    parameters: Vec<Change>,
}

#[derive(Debug, Serialize)]
struct Change {
    parameter: String,
    shape: Vec<usize>,
    largest: f64,
    rms: f64,
    relative: f64,
}

/// Along a trial.
#[derive(Debug, Serialize)]
struct Along {
    trial: String,
    differences: Vec<Difference>,
}

impl DiffArgs {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        if let Some(along) = &self.along {
            let (campaign, trial) = along.split_once('/').unwrap_or((along, ""));
            let found = with_reader(global, &self.coordinator, async |campaigns| {
                differences_along(campaigns, campaign, trial).await
            })?;
            output::print(&found, global.json)?;
            return Ok(Exit::Done);
        }
        let read = |name: &Option<String>| {
            let name = name.as_deref().ok_or_else(|| bad_input(anyhow!("expected two checkpoints")))?;
            Checkpoint::read(name, &self.coordinator, global)
        };
        let (before, after) = (read(&self.before)?, read(&self.after)?);
        output::print(&Difference::between(&before, &after, None)?, global.json)?;
        Ok(Exit::Done)
    }
}

async fn differences_along(campaigns: &mut Campaigns, campaign: &str, beginning: &str) -> anyhow::Result<Along> {
    let Detail { summary, plan, .. } = campaigns.detail(campaign).await?;
    let found: Vec<&Trial> = plan.trials.iter().filter(|trial| trial.id.to_string().starts_with(beginning)).collect();
    let trial = match found.as_slice() {
        [trial] => *trial,
        [] => return Err(bad_input(anyhow!("{} has no trial `{beginning}`", plan.name))),
        several => {
            let reason =
                anyhow!("`{beginning}` matches {} trials of {}: give a longer prefix", several.len(), plan.name);
            return Err(bad_input(reason));
        }
    };
    let committed = campaigns.checkpoints(&summary.campaign).await?;
    let mut steps: Vec<(u64, &vocabulary::StageKey)> = Vec::new();
    for stage in &trial.path {
        let key = stage.to_string();
        let mut own: Vec<u64> = committed.iter().filter(|found| found.stage == key).map(|found| found.step).collect();
        own.sort_unstable();
        steps.extend(own.into_iter().map(|step| (step, stage)));
    }
    ensure!(steps.len() > 1, "{} has fewer than two checkpoints", trial.id);
    let mut differences = Vec::new();
    let mut before: Option<Checkpoint> = None;
    for (step, stage) in steps {
        let after = fetch(campaigns, &stage.to_string(), Some(step)).await?;
        let spec = &plan.stage(stage).context("the trial's path leads out of the plan")?.spec;
        if let Some(before) = &before {
            let learning_rate = step.checked_sub(1).map(|last| spec.learning_rate(last));
            differences.push(Difference::between(before, &after, learning_rate)?);
        }
        before = Some(after);
    }
    Ok(Along { trial: trial.id.to_string(), differences })
}

impl Difference {
    fn between(before: &Checkpoint, after: &Checkpoint, learning_rate: Option<f64>) -> anyhow::Result<Self> {
        let found = changes(&before.snapshot, &after.snapshot);
        let found =
            found.with_context(|| format!("cannot compare {} and {}", before.name, after.name)).or_bad_input()?;
        Ok(Self {
            from: before.name.clone(),
            to: after.name.clone(),
            steps: [before.snapshot.step, after.snapshot.step],
            learning_rate,
            parameters: found.into_iter().map(Change::from).collect(),
        })
    }

    /// The largest change among parameters of a kind; `None` if there are none.
    fn largest(&self, kind: ParamKind) -> Option<f64> {
        let of_kind = self.parameters.iter().filter(|change| ParamKind::of(&change.parameter) == Some(kind));
        of_kind.map(|change| change.largest).reduce(larger)
    }
}

impl From<WeightChange> for Change {
    fn from(change: WeightChange) -> Self {
        let WeightChange { parameter, shape, largest, rms, relative } = change;
        Self { parameter, shape, largest, rms, relative }
    }
}

impl View for Difference {
    fn table(&self) -> String {
        let row = |change: &Change| {
            let shape = change.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
            let [largest, rms, relative] = [change.largest, change.rms, change.relative].map(short);
            [change.parameter.clone(), shape, largest, rms, relative]
        };
        let rows: Vec<_> = self.parameters.iter().map(row).collect();
        let Self { from, to, .. } = self;
        let table = columns(["parameter", " shape", " largest change", " rms change", " relative change"], &rows);
        format!("{from} to {to}\n{table}")
    }
}

impl View for Along {
    /// One line per interval: the largest change of each kind of parameter.
    fn table(&self) -> String {
        let row = |difference: &Difference| {
            let [from, to] = difference.steps.map(|step| step.to_string());
            let rate = difference.learning_rate.map_or_else(String::new, short);
            let [embedding, qkv, out, gate_up, down, gain, head] =
                ParamKind::ALL.map(|kind| difference.largest(kind).map_or_else(|| "-".to_owned(), short));
            [from, to, rate, embedding, qkv, out, gate_up, down, gain, head]
        };
        let rows: Vec<_> = self.differences.iter().map(row).collect();
        let [embedding, qkv, out, gate_up, down, gain, head] = ParamKind::ALL.map(|kind| format!(" {}", kind.name()));
        let kinds = [&embedding, &qkv, &out, &gate_up, &down, &gain, &head].map(String::as_str);
        let [embedding, qkv, out, gate_up, down, gain, head] = kinds;
        let header = ["from step", " to", " learning rate", embedding, qkv, out, gate_up, down, gain, head];
        format!("{}\n{}", self.trial, columns(header, &rows))
    }
}

fn short(value: f64) -> String {
    format!("{value:.3e}")
}
