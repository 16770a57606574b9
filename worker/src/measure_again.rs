//! Evaluating a checkpoint again, to compare what comes out with what is stored.

use std::path::PathBuf;

use minicpm::Compute;
use vocabulary::{Evaluation, Measurements};

use crate::checkpoint::{CheckpointRef, download};
use crate::dataset::dataset_dir;
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
    /// Where text is kept that is downloaded.
    pub datasets: PathBuf,
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
    let MeasureAgainOptions { evaluation, checkpoint, storage, datasets, interrupter, .. } = options;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StandaloneError::Start)?;
    let blobs = runtime.block_on(download(storage.store().as_ref(), checkpoint))?;
    let dataset_dir = runtime.block_on(dataset_dir(storage, &evaluation.spec.task.dataset, datasets))?;
    let checkpoint = StartPoint { stage: checkpoint.stage, step: checkpoint.step, blobs };
    let order = EvaluationOrder { evaluation: (*evaluation).clone(), dataset_dir, checkpoint };
    let failed = |source| StandaloneError::Training { stage: evaluation.key, source };
    let measured = trainer.evaluate(&order).and_then(|measure| measure(interrupter)).map_err(failed)?;
    Ok(measured.map(|measured| measured.measurements))
}
