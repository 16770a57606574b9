//! A run as if it were trained in one stage, before it is cut where runs diverge.

use std::collections::BTreeMap;

use vocabulary::memory::{GIB, TrainingMemory};
use vocabulary::{Batch, DataSpec, DatasetId, NUMERICS_VERSION, StageSpec, StartSpec};

use super::Variant;
use super::error::Fault;
use super::format::RecipeFile;
use super::order::Order;
use super::runs::Run;

/// The specs of a variant's runs, each as one stage.
pub(crate) fn whole_specs(
    variant: &Variant,
    runs: &[Run],
    data: DatasetId,
    vocab: u32,
    order: Order,
) -> Result<Vec<StageSpec>, Fault> {
    let whole = |run: &Run| whole_spec(&variant.contents, run, data, vocab, order);
    let micro = micro_sequences(&variant.contents, runs, whole).map_err(|fault| variant.place(fault))?;
    let with_micro = |run: &Run| {
        let spec = whole(run);
        StageSpec { batch: Batch { micro_sequences: micro[run.size.as_str()], ..spec.batch }, ..spec }
    };
    Ok(runs.iter().map(with_micro).collect())
}

/// The spec of a run as one stage.
pub(crate) fn whole_spec(contents: &RecipeFile, run: &Run, data: DatasetId, vocab: u32, order: Order) -> StageSpec {
    StageSpec {
        model: contents.model(run.shape, vocab),
        start: StartSpec::of_seed(run.seed),
        data: DataSpec {
            dataset: data,
            order_seed: order.seed(run.seed, &run.shape),
            mixture: contents.data.mixture(),
        },
        objective: contents.objective(),
        steps: 0..run.steps,
        schedule: run.schedule,
        peak_lr: run.peak_lr,
        batch: batch(contents),
        optimizer: contents.optimizer(),
        precision: contents.precision,
        validation_tokens: contents.data.validation_tokens,
        loss_limit: contents.optimizer.divergence_margin.map(|margin| f64::from(vocab).ln() + margin),
        recording: None,
        numerics_version: NUMERICS_VERSION,
    }
}

/// Sequences per pass, by size: what the recipe says, or as many as are estimated to fit into the memory it names.
///
/// Fewer sequences with activations kept are preferred to more with activations recomputed.
fn micro_sequences<'a>(
    recipe: &RecipeFile,
    runs: &'a [Run],
    whole: impl Fn(&Run) -> StageSpec,
) -> Result<BTreeMap<&'a str, u32>, Fault> {
    let mut chosen = BTreeMap::new();
    for run in runs {
        if chosen.contains_key(run.size.as_str()) {
            continue;
        }
        let spec = whole(run);
        let Some(memory_gib) = recipe.batch.memory_gib else {
            chosen.insert(run.size.as_str(), spec.batch.micro_sequences);
            continue;
        };
        let budget = (memory_gib * GIB) as u64;
        let with = |micro_sequences| {
            let batch = Batch { micro_sequences, ..spec.batch };
            TrainingMemory::of(&StageSpec { batch, ..spec.clone() })
        };
        let sequences = spec.batch.sequences;
        let divisors = || {
            (1..=sequences)
                .rev()
                .filter(|micro| sequences.is_multiple_of(*micro) && sequences / micro >= spec.batch.lanes)
        };
        let micro = divisors()
            .find(|&micro| with(micro).kept() <= budget)
            .or_else(|| divisors().find(|&micro| with(micro).recomputed() <= budget))
            .ok_or_else(|| {
                let least = divisors().map(|micro| with(micro).recomputed()).min().unwrap_or_default() as f64 / GIB;
                let reason = format!("{memory_gib} GiB are not enough for `{}`", run.size);
                Fault::conflict("batch.memory_gib", reason, format!("{:.3} or more", (least * 1e3).ceil() / 1e3))
            })?;
        chosen.insert(run.size.as_str(), micro);
    }
    Ok(chosen)
}

pub(crate) fn batch(recipe: &RecipeFile) -> Batch {
    let batch = &recipe.batch;
    let micro_sequences = batch.micro_sequences.unwrap_or(batch.sequences);
    Batch { sequences: batch.sequences, context: batch.context, micro_sequences, lanes: batch.lanes.unwrap_or(1) }
}
