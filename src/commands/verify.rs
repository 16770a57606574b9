//! `windtunnel verify`

use anyhow::{Context, anyhow};
use proto::convert::measurements;
use proto::v1::{self, StagePhase};
use serde::Serialize;
use vocabulary::{Evaluation, Measurements, Plan, Stage, StageKey, Work};
use worker::checkpoint::{CheckpointRef, download};
use worker::training::{Interrupter, StepReport};
use worker::{MeasureAgainOptions, NodeCache, ReplayOptions, Replayed, Storage, measure_again, replay};

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::args::{Compute, Downloads};
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::data_dir;
use crate::local::reach::with_reader;
use crate::local::signals::stopped_by_signals;
use crate::logging::say;
use crate::views::output::{self, View, columns};
use client::{Campaigns, Detail};

/// Retrain stages of a campaign from their starting checkpoints and compare every bit
///
/// The loss of every step, the last checkpoint and the held-out loss must equal the stored ones. Evaluations are sampled and
/// repeated too. Results may differ on another kind of device or with another build.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel verify quickstart --samples 3")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    /// Stage or evaluation key as printed by `windtunnel show`; a prefix is enough [default: a random sample]
    #[arg(long, value_name = "KEY", conflicts_with_all = ["samples", "seed"])]
    stage: Option<String>,

    /// Number of stages to sample, and of evaluations if there are any
    #[arg(long, default_value_t = 1)]
    samples: usize,

    /// Seed of the sample
    #[arg(long, default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    compute: Compute,

    #[command(flatten)]
    downloads: Downloads,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

/// The stored record of a stage or evaluation.
enum Stored {
    Stage(Box<StoredStage>),
    Evaluation(Box<StoredEvaluation>),
}

struct StoredEvaluation {
    evaluation: Evaluation,
    checkpoint: CheckpointRef,
    result: Measurements,
}

struct StoredStage {
    stage: Stage,
    start: Option<CheckpointRef>,
    last: Option<CheckpointRef>,
    curve: Vec<v1::CurvePoint>,
    result: Measurements,
}

#[derive(Serialize)]
struct Verified {
    sound: bool,
    stages: Vec<VerifiedStage>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evaluations: Vec<VerifiedEvaluation>,
}

#[derive(Serialize)]
struct VerifiedEvaluation {
    evaluation: String,
    /// The stage that is evaluated.
    stage: String,
    size: String,
    text: String,
    /// What differs; nothing where all is the same.
    difference: Option<String>,
}

#[derive(Serialize)]
struct VerifiedStage {
    stage: String,
    size: String,
    role: &'static str,
    steps: usize,
    /// Whether the last checkpoint still exists and was compared.
    compared_checkpoint: bool,
    /// The first difference, if any.
    difference: Option<String>,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        self.compute.check()?;
        let (storage, stored) = with_reader(global, &self.coordinator, async |campaigns| {
            let detail = campaigns.detail(&self.campaign).await?;
            let mut stored = Vec::new();
            for work in self.choose(&detail)? {
                stored.push(fetch(campaigns, &detail, work).await?);
            }
            Ok((campaigns.info().await?.storage, stored))
        })?;
        let storage = Storage::open(&storage).context("cannot reach the coordinator's storage from this machine")?;
        let again = Recomputing {
            storage: &storage,
            node_cache: NodeCache::below(&data_dir(global)?, self.downloads.cache_bytes),
            compute: &self.compute,
            interrupter: stopped_by_signals()?,
        };
        let (mut stages, mut evaluations) = (Vec::new(), Vec::new());
        for stored in &stored {
            match stored {
                Stored::Stage(stored) => {
                    let Some(verified) = again.train(stored)? else { return Ok(Exit::Interrupted) };
                    stages.push(verified);
                }
                Stored::Evaluation(stored) => {
                    let Some(verified) = again.evaluate(stored)? else { return Ok(Exit::Interrupted) };
                    evaluations.push(verified);
                }
            }
        }
        let differences = stages.iter().map(|stage| &stage.difference);
        let sound = differences.chain(evaluations.iter().map(|it| &it.difference)).all(Option::is_none);
        output::print(&Verified { sound, stages, evaluations }, global.json)?;
        Ok(if sound { Exit::Done } else { Exit::NotSound })
    }

    /// The stages and evaluations to repeat: the requested one, or a sample of completed ones ordered by the hash of seed and
    /// key.
    fn choose(&self, detail: &Detail) -> anyhow::Result<Vec<Work>> {
        let statuses = detail.stages.iter().chain(&detail.evaluations);
        let done = detail.plan.nodes().zip(statuses).filter(|(_, status)| status.phase() == StagePhase::Completed);
        let done: Vec<Work> = done.map(|(work, _)| work).collect();
        if let Some(beginning) = &self.stage {
            let found: Vec<Work> =
                done.into_iter().filter(|work| work.key().to_string().starts_with(beginning)).collect();
            return match found.as_slice() {
                [_] => Ok(found),
                [] => Err(bad_input(anyhow!("no completed stage has a key that begins with `{beginning}`"))),
                several => {
                    Err(bad_input(anyhow!("`{beginning}` matches {} stage keys: give a longer prefix", several.len())))
                }
            };
        }
        if done.is_empty() {
            return Err(bad_input(anyhow!("no stage of {} is completed yet", detail.plan.name)));
        }
        let (stages, mut evaluations): (Vec<Work>, Vec<Work>) =
            done.into_iter().partition(|work| work.stage().is_some());
        // The checkpoint that was measured may have been collected since.
        evaluations.retain(|work| work.parent().is_some_and(|parent| has_last_checkpoint(detail, &parent)));
        Ok(self.draw(stages).chain(self.draw(evaluations)).collect())
    }

    fn draw(&self, from: Vec<Work>) -> impl Iterator<Item = Work> {
        let hash = |key: StageKey| blake3::hash(format!("{} {key}", self.seed).as_bytes()).to_string();
        let mut drawn: Vec<_> = from.into_iter().map(|work| (hash(work.key()), work)).collect();
        drawn.sort_by(|a, b| a.0.cmp(&b.0));
        drawn.into_iter().take(self.samples).map(|(_, work)| work)
    }
}

/// Whether the last checkpoint of a stage is still there.
fn has_last_checkpoint(detail: &Detail, stage: &StageKey) -> bool {
    let end = detail.plan.stage(stage).map(|stage| stage.spec.steps.end);
    let key = stage.to_string();
    let status = detail.stages.iter().find(|status| status.key == key);
    end.is_some() && status.and_then(|status| status.committed_step) == end
}

/// Everything needed to repeat stages and evaluations.
struct Recomputing<'a> {
    storage: &'a Storage,
    node_cache: NodeCache,
    compute: &'a Compute,
    interrupter: Interrupter,
}

impl Recomputing<'_> {
    fn train(&self, stored: &StoredStage) -> anyhow::Result<Option<VerifiedStage>> {
        let stage = &stored.stage;
        say(&format!("{} {} {}: retraining", stage.key.short(), stage.size, stage.role.name()));
        let options = ReplayOptions {
            stage,
            start: stored.start.clone(),
            storage: self.storage,
            node_cache: self.node_cache.clone(),
            device: self.compute.device.clone(),
            threads: usize::from(self.compute.threads),
            memory_bytes: self.compute.memory_bytes(),
            interrupter: self.interrupter.clone(),
        };
        let Some(again) = replay(&options, &mut |_| {})? else { return Ok(None) };
        stored.compare(self.storage, &again).map(Some)
    }

    fn evaluate(&self, stored: &StoredEvaluation) -> anyhow::Result<Option<VerifiedEvaluation>> {
        let StoredEvaluation { evaluation, checkpoint, result } = stored;
        let (key, size, text) = (evaluation.key.short(), &evaluation.size, &evaluation.name);
        say(&format!("{key} {size} on {text}: repeating the evaluation"));
        let options = MeasureAgainOptions {
            evaluation,
            checkpoint: checkpoint.clone(),
            storage: self.storage,
            node_cache: self.node_cache.clone(),
            device: self.compute.device.clone(),
            threads: usize::from(self.compute.threads),
            memory_bytes: self.compute.memory_bytes(),
            interrupter: self.interrupter.clone(),
        };
        let Some(again) = measure_again(&options)? else { return Ok(None) };
        Ok(Some(VerifiedEvaluation {
            evaluation: evaluation.key.to_string(),
            stage: evaluation.parent.to_string(),
            size: size.clone(),
            text: text.clone(),
            difference: different_measurement(result, &again),
        }))
    }
}

async fn fetch(campaigns: &mut Campaigns, detail: &Detail, work: Work) -> anyhow::Result<Stored> {
    let Detail { summary, plan, stages, evaluations, .. } = detail;
    let start = match work.parent() {
        None => None,
        Some(parent) => Some(last_checkpoint(campaigns, plan, &parent).await?),
    };
    let key = work.key().to_string();
    let status = stages.iter().chain(evaluations).find(|status| status.key == key);
    let result = status.and_then(|status| status.result.clone()).context("the coordinator has no result of it")?;
    let result = Measurements::try_from(result).context("the coordinator's result cannot be read")?;
    let stage = match work {
        Work::Train(stage) => stage,
        Work::Evaluate(evaluation) => {
            let checkpoint = start.context("an evaluation has a stage")?;
            return Ok(Stored::Evaluation(Box::new(StoredEvaluation { evaluation, checkpoint, result })));
        }
    };
    let last = last_checkpoint(campaigns, plan, &stage.key).await.ok();
    let curve = campaigns.curves(&summary.campaign, std::slice::from_ref(&key)).await?.remove(&key).unwrap_or_default();
    Ok(Stored::Stage(Box::new(StoredStage { stage, start, last, curve, result })))
}

async fn last_checkpoint(
    campaigns: &mut Campaigns,
    plan: &Plan,
    stage: &vocabulary::StageKey,
) -> anyhow::Result<CheckpointRef> {
    let end = plan.stage(stage).map(|stage| stage.spec.steps.end);
    let found = campaigns.checkpoint(&stage.to_string(), end).await.or_bad_input()?;
    Ok(CheckpointRef {
        stage: found.stage.parse().context("the coordinator returned an invalid stage key")?,
        step: found.step,
        manifest_hash: blake3::Hash::from_hex(&found.manifest_hash)
            .context("the coordinator returned an invalid hash")?,
        manifest_path: found.manifest_path,
    })
}

impl StoredStage {
    fn compare(&self, storage: &Storage, again: &Replayed) -> anyhow::Result<VerifiedStage> {
        let mut difference = first_difference(&self.curve, &again.points);
        if let (None, Some(last)) = (&difference, &self.last) {
            let blobs = crate::local::runtime()?.block_on(download(storage.store().as_ref(), last));
            let blobs = blobs.context("cannot read the stage's last checkpoint")?;
            let differing = blobs.iter().zip(&again.blobs).find(|(stored, trained)| stored != trained);
            difference = match differing {
                Some((stored, _)) => Some(format!("{} of the last checkpoint", stored.name)),
                None if blobs.len() != again.blobs.len() => Some("the files of the last checkpoint".to_owned()),
                None => None,
            };
        }
        let difference = difference.or_else(|| different_measurement(&self.result, &again.result));
        Ok(VerifiedStage {
            stage: self.stage.key.to_string(),
            size: self.stage.size.clone(),
            role: self.stage.role.name(),
            steps: again.points.len(),
            compared_checkpoint: self.last.is_some(),
            difference,
        })
    }
}

fn first_difference(stored: &[v1::CurvePoint], trained: &[StepReport]) -> Option<String> {
    let bits = |values: [f64; 3]| values.map(f64::to_bits);
    for (stored, trained) in stored.iter().zip(trained) {
        let was = bits([stored.loss, stored.grad_norm, stored.learning_rate]);
        let is = bits([trained.loss, trained.grad_norm, trained.learning_rate]);
        if stored.step != trained.step || was != is {
            let (step, was, is) = (stored.step, stored.loss, trained.loss);
            return Some(format!("step {step}: stored loss {was}, now {is}"));
        }
        let recorded = match measurements("measurements", stored.measurements.clone()) {
            Ok(recorded) => recorded,
            Err(error) => return Some(format!("step {}: {error}", stored.step)),
        };
        if let Some(difference) = different_measurement(&recorded, &trained.measurements) {
            return Some(format!("step {}: {difference}", stored.step));
        }
    }
    let (was, is) = (stored.len(), trained.len());
    (was != is).then(|| format!("the stored curve has {was} steps, training had {is}"))
}

/// In what two sets of measurements differ, if in anything.
fn different_measurement(stored: &Measurements, trained: &Measurements) -> Option<String> {
    let (name, values) = stored.difference(trained)?;
    let [was, is] = values.map(|value| value.map_or_else(|| "no value".to_owned(), |value| value.to_string()));
    Some(format!("stored {name} {was}, now {is}"))
}

impl View for Verified {
    fn table(&self) -> String {
        let row = |stage: &VerifiedStage| {
            let short = stage.stage.chars().take("stage_".len() + 8).collect();
            let outcome = match &stage.difference {
                Some(difference) => format!("differs: {difference}"),
                None if stage.compared_checkpoint => "identical".to_owned(),
                None => "identical; its last checkpoint no longer exists".to_owned(),
            };
            [short, stage.size.clone(), stage.role.to_owned(), stage.steps.to_string(), outcome]
        };
        let rows: Vec<_> = self.stages.iter().map(row).collect();
        let stages = if rows.is_empty() {
            String::new()
        } else {
            columns(["stage", "size", "part", " steps", "trained again"], &rows)
        };
        let row = |it: &VerifiedEvaluation| {
            let short = it.evaluation.chars().take("stage_".len() + 8).collect();
            let outcome = it.difference.as_ref().map(|difference| format!("differs: {difference}"));
            [short, it.size.clone(), it.text.clone(), outcome.unwrap_or_else(|| "the same to the bit".to_owned())]
        };
        let rows: Vec<_> = self.evaluations.iter().map(row).collect();
        let evaluations =
            if rows.is_empty() { String::new() } else { columns(["evaluation", "size", "text", "result"], &rows) };
        let between = if stages.is_empty() || evaluations.is_empty() { "" } else { "\n" };
        format!("{stages}{between}{evaluations}")
    }
}

#[cfg(test)]
mod tests {
    use proto::convert::sent_measurements;
    use vocabulary::metrics::GRADIENT_COSINE;

    use super::*;

    #[test]
    fn the_first_bit_that_differs_is_named() {
        let cosine = |value| Measurements::new().with(GRADIENT_COSINE, value);
        let stored = |step, loss| v1::CurvePoint {
            step,
            loss,
            grad_norm: 1.0,
            learning_rate: 0.5,
            measurements: sent_measurements(&cosine(0.5)),
        };
        let trained = |step, loss| StepReport {
            step,
            loss,
            grad_norm: 1.0,
            learning_rate: 0.5,
            tokens: 1,
            measurements: cosine(0.5),
        };
        let curve = [stored(3, 2.5), stored(4, 2.25)];
        assert_eq!(first_difference(&curve, &[trained(3, 2.5), trained(4, 2.25)]), None);
        let other = first_difference(&curve, &[trained(3, 2.5), trained(4, f64::from_bits(2.25_f64.to_bits() + 1))]);
        assert_eq!(other.as_deref(), Some("step 4: stored loss 2.25, now 2.2500000000000004"));
        let short = first_difference(&curve, &[trained(3, 2.5)]);
        assert_eq!(short.as_deref(), Some("the stored curve has 2 steps, training had 1"));
        let another = StepReport { measurements: cosine(f64::NAN), ..trained(3, 2.5) };
        let recorded = "step 3: stored gradient_cosine 0.5, now NaN";
        assert_eq!(first_difference(&curve, &[another]).as_deref(), Some(recorded));
    }
}
