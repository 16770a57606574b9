//! Observes a model after each of its first steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use burn_train::Interrupter;
use corpus::{Batch, BatchError, OpenDataset};
use minicpm::{Compute, Trace};
use serde::Serialize;
use vocabulary::StageSpec;

use crate::run::{Origin, StageRun, StartError, StepError};

/// Held-out tokens that activations are measured on, about.
pub const PROBE_TOKENS: u32 = 512;

/// The longest sequence of them.
const PROBE_CONTEXT: u32 = 256;

/// A measured quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// The embedding's output, scaled.
    Embedding,
    /// The output of the blocks' attention, before it is scaled and added to the stream.
    Attention,
    /// The output of their feed-forward layers, likewise.
    Mlp,
    /// The residual stream after the last block.
    Stream,
    /// The head's output.
    Logits,
}

/// The mean size of a quantity's elements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    /// Mean absolute value.
    pub size: f64,
    /// Mean absolute difference from what it was before the first step.
    pub change: f64,
}

/// A model after some steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observed {
    /// Steps that were done.
    pub step: u64,
    /// The loss of the last of them, in nats a token; `None` before the first.
    pub loss: Option<f64>,
    /// The sizes, by quantity.
    pub sizes: BTreeMap<Quantity, Size>,
}

/// Why a model cannot be observed.
#[derive(Debug, thiserror::Error)]
pub enum CoordinateError {
    /// It cannot be trained.
    #[error("cannot start")]
    Start(#[source] StartError),
    /// A step failed.
    #[error("cannot train a step")]
    Step(#[source] StepError),
    /// The held-out tokens to measure on cannot be read.
    #[error("cannot read held-out tokens to measure on")]
    Probe(#[source] BatchError),
}

/// Trains a stage from initial weights to its end, and observes it before the first step and after each.
///
/// All models over one dataset and context are measured on the same held-out tokens. `None` if the caller interrupts it.
///
/// # Errors
/// If the stage cannot be trained or the held-out tokens cannot be read.
pub fn observe(
    spec: &StageSpec,
    data: &Arc<OpenDataset>,
    compute: &Compute,
    interrupter: &Interrupter,
) -> Result<Option<Vec<Observed>>, CoordinateError> {
    let probe = probe(spec, data).map_err(CoordinateError::Probe)?;
    let mut run = StageRun::new(spec, Arc::clone(data), compute, Origin::Initial).map_err(CoordinateError::Start)?;
    let initial = activations(&run, &probe);
    let mut observed = vec![Observed { step: run.step(), loss: None, sizes: sizes(&initial, &initial) }];
    while !run.is_finished() {
        if interrupter.should_stop() {
            return Ok(None);
        }
        let report = run.next_step().map_err(CoordinateError::Step)?;
        let sizes = sizes(&activations(&run, &probe), &initial);
        observed.push(Observed { step: run.step(), loss: Some(report.loss), sizes });
    }
    Ok(Some(observed))
}

/// Held-out tokens, in rows no longer than the model's.
fn probe(spec: &StageSpec, data: &OpenDataset) -> Result<Batch, BatchError> {
    let context = spec.batch.context.min(PROBE_CONTEXT);
    let rows = u64::from(PROBE_TOKENS / context).clamp(1, (spec.validation_tokens / u64::from(context)).max(1));
    let mut batches = data.validation(rows * u64::from(context), context)?;
    batches.next().unwrap_or(Err(BatchError::Empty))
}

/// The values of each quantity, concatenated over blocks.
type Values = BTreeMap<Quantity, Vec<f32>>;

fn activations(run: &StageRun, probe: &Batch) -> Values {
    run.with_model(|model, device| {
        let inputs = TensorData::new(probe.inputs.clone(), [probe.sequences, probe.context]);
        let Trace { embedding, attention, mlp, stream, logits } =
            model.trace(Tensor::<2, Int>::from_data(inputs, device));
        let host = |tensors: Vec<Tensor<2>>| -> Vec<f32> {
            let values = |tensor: Tensor<2>| {
                tensor.cast(FloatDType::F32).into_data().try_into_vec::<f32>().expect("they are 32-bit floats")
            };
            tensors.into_iter().flat_map(values).collect()
        };
        BTreeMap::from([
            (Quantity::Embedding, host(vec![embedding])),
            (Quantity::Attention, host(attention)),
            (Quantity::Mlp, host(mlp)),
            (Quantity::Stream, host(vec![stream])),
            (Quantity::Logits, host(vec![logits])),
        ])
    })
}

fn sizes(now: &Values, initial: &Values) -> BTreeMap<Quantity, Size> {
    let mean = |values: &mut dyn Iterator<Item = f64>, count: usize| values.map(f64::abs).sum::<f64>() / count as f64;
    now.iter()
        .zip(initial.values())
        .map(|((quantity, now), before)| {
            let size = mean(&mut now.iter().map(|value| f64::from(*value)), now.len());
            let differences = now.iter().zip(before).map(|(now, before)| f64::from(*now) - f64::from(*before));
            (*quantity, Size { size, change: mean(&mut { differences }, now.len()) })
        })
        .collect()
}
