//! Evaluating a checkpoint again, to compare what comes out with what is stored.

use minicpm::Compute;
use vocabulary::{Evaluation, Measurements};

use crate::checkpoint::{CheckpointRef, download};
use crate::dataset::{LocalDataset, local_dataset};
use crate::node_cache::NodeCache;
use crate::standalone::StandaloneError;
use crate::training::{EvaluationOrder, Interrupter, StageTrainer, StartPoint, Trainer};
use storage::Storage;

/// What to evaluate again, and with what.
#[derive(Clone)]
pub struct MeasureAgainOptions<'a> {
    pub evaluation: &'a Evaluation,
    /// The checkpoint it measures.
    pub checkpoint: CheckpointRef,
    /// Where that checkpoint and the text are.
    pub storage: &'a Storage,
    /// Where downloads are kept on this machine.
    pub node_cache: NodeCache,
    /// What to compute on, as in [`crate::WorkerOptions::device`].
    pub device: String,
    /// CPU threads.
    pub threads: usize,
    /// Bytes of the device's memory, as in [`crate::WorkerOptions::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// Stops it after the batch that is being measured.
    pub interrupter: Interrupter,
}

/// Evaluates a checkpoint again. `None` where the caller wanted no more of it.
///
/// # Errors
/// If the checkpoint or the text cannot be read, or do not fit the evaluation.
pub fn measure_again(options: &MeasureAgainOptions<'_>) -> Result<Option<Measurements>, StandaloneError> {
    let compute = Compute::parse(&options.device, options.threads)
        .map_err(|source| StandaloneError::Device { device: options.device.clone(), source })?
        .with_memory(options.memory_bytes);
    // On a thread of its own, so that it does not matter whether the caller is inside a runtime.
    std::thread::scope(|scope| {
        let measuring = scope.spawn(|| measure(options, &mut StageTrainer::new(compute)));
        measuring.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn measure(
    options: &MeasureAgainOptions<'_>,
    trainer: &mut dyn Trainer,
) -> Result<Option<Measurements>, StandaloneError> {
    let MeasureAgainOptions { evaluation, checkpoint, storage, node_cache, interrupter, .. } = options;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StandaloneError::Start)?;
    let blobs = runtime.block_on(download(storage.store().as_ref(), checkpoint))?;
    let LocalDataset { dir, in_use: _in_use } =
        runtime.block_on(local_dataset(storage, &evaluation.spec.task.dataset, node_cache))?;
    let checkpoint = StartPoint { stage: checkpoint.stage, step: checkpoint.step, blobs };
    let order = EvaluationOrder { evaluation: (*evaluation).clone(), dataset_dir: dir, checkpoint };
    let failed = |source| StandaloneError::Training { stage: evaluation.key, source };
    let measured = trainer.evaluate(&order).and_then(|measure| measure(interrupter)).map_err(failed)?;
    Ok(measured.map(|measured| measured.measurements))
}
