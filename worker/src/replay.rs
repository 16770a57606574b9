//! Replay: training a stage once more from where it started, to compare the result with what is stored.

use minicpm::Compute;
use trainer::Interrupter;
use vocabulary::{Measurements, Stage};

use crate::checkpoint::{CheckpointRef, download};
use crate::dataset::{LocalDataset, local_dataset};
use crate::node_cache::NodeCache;
use crate::standalone::StandaloneError;
use crate::training::{Blob, Event, Order, StageTrainer, StartPoint, StepReport, Steps, Trainer};
use storage::Storage;

/// A stage to replay, and what to train it with.
#[derive(Clone)]
pub struct ReplayOptions<'a> {
    /// Must be completed, with its parent's last checkpoint still stored.
    pub stage: &'a Stage,
    /// The checkpoint it started from, the last of its parent; `None` for initial weights.
    pub start: Option<CheckpointRef>,
    /// The storage of that checkpoint and of the data.
    pub storage: &'a Storage,
    /// Where downloads are kept on this machine.
    pub node_cache: NodeCache,
    /// The device to train on, as in [`crate::WorkerOptions::device`].
    pub device: String,
    /// CPU threads for training.
    pub threads: usize,
    /// Bytes of the device's memory, as in [`crate::WorkerOptions::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// Stops the replay after the current step.
    pub interrupter: Interrupter,
}

/// The result of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// Every step.
    pub points: Vec<StepReport>,
    /// The last checkpoint.
    pub blobs: Vec<Blob>,
    /// Its result: the losses on held-out tokens.
    pub result: Measurements,
}

/// Trains a stage once more and stores nothing. Returns `None` if the caller interrupts it.
///
/// # Errors
/// If the device, the data or the checkpoint to start from cannot be used, or training fails.
pub fn replay(
    options: &ReplayOptions<'_>,
    progress: &mut (dyn FnMut(&StepReport) + Send),
) -> Result<Option<Replayed>, StandaloneError> {
    let compute = Compute::parse(&options.device, options.threads)
        .map_err(|source| StandaloneError::Device { device: options.device.clone(), source })?
        .with_memory(options.memory_bytes);
    // On a thread of its own, so that it does not matter whether the caller is inside a runtime.
    std::thread::scope(|scope| {
        let training = scope.spawn(|| train(options, &mut StageTrainer::new(compute), progress));
        training.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn train(
    options: &ReplayOptions<'_>,
    trainer: &mut dyn Trainer,
    progress: &mut dyn FnMut(&StepReport),
) -> Result<Option<Replayed>, StandaloneError> {
    let ReplayOptions { stage, start, storage, node_cache, .. } = options;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StandaloneError::Start)?;
    let start = match start {
        Some(wanted) => {
            let blobs = runtime.block_on(download(storage.store().as_ref(), wanted))?;
            Some(StartPoint { stage: wanted.stage, step: wanted.step, blobs })
        }
        None => None,
    };
    let LocalDataset { dir, in_use: _in_use } =
        runtime.block_on(local_dataset(storage, &stage.spec.data.dataset, node_cache))?;
    let failed = |source| StandaloneError::Training { stage: stage.key, source };
    let order = Order { stage: (*stage).clone(), dataset_dir: dir, start };
    let mut training = trainer.start(&order).map_err(failed)?;
    let mut points = Vec::new();
    let mut steps = Steps::new(training.as_mut(), &stage.spec, || options.interrupter.should_stop().then_some(()));
    loop {
        match steps.next().map_err(failed)? {
            Event::Finished => break,
            Event::Interrupted(()) => return Ok(None),
            // A loss that ends a stage is one to compare like any other: the stored stage ended otherwise.
            Event::Step(report) | Event::Diverged(report) => {
                progress(&report);
                points.push(report);
            }
        }
    }
    let blobs = training.snapshot().and_then(|take| take()).map_err(failed)?;
    let result = training.validate().map_err(failed)?.measurements;
    Ok(Some(Replayed { points, blobs, result }))
}
