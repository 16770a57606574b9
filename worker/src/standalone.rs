//! Standalone training: a stage without a coordinator, after the stages it builds on.

use std::path::{Path, PathBuf};

use minicpm::{Compute, ComputeError};
use tokio::runtime::Runtime;
use tracing::{info, warn};
use trainer::Interrupter;
use vocabulary::text::one_line;
use vocabulary::{Attempt, AttemptKey, Measurements, Plan, Stage, StageKey};

use crate::checkpoint::{Blobs, CheckpointRef, DownloadError, UploadError, find, upload};
use crate::dataset::{DatasetError, LocalDataset, local_dataset};
use crate::node_cache::NodeCache;
use crate::training::{Event, Order, StageTrainer, StartPoint, StepReport, Steps, Trainer, TrainingError};
use storage::{Storage, StorageError};

/// The attempt of what is trained without a coordinator, which counts attempts from one.
const STANDALONE: Attempt = Attempt(0);

/// A stage to train, and what to train it with.
#[derive(Clone)]
pub struct StandaloneOptions<'a> {
    /// The plan that has the stage and its ancestors.
    pub plan: &'a Plan,
    /// Key of the stage to train.
    pub stage: StageKey,
    /// Where the data is, and where checkpoints are kept.
    pub data_dir: PathBuf,
    /// The device to train on, as in [`crate::WorkerOptions::device`].
    pub device: String,
    /// CPU threads for training.
    pub threads: usize,
    /// Bytes of the device's memory, as in [`crate::WorkerOptions::memory_bytes`].
    pub memory_bytes: Option<u64>,
    /// Stops training after the current step. The stage in training leaves no checkpoint then.
    pub interrupter: Interrupter,
}

/// Progress of standalone training.
#[derive(Debug, Clone, Copy)]
pub enum StandaloneProgress<'a> {
    /// A stage begins.
    Begun(&'a Stage),
    /// A checkpoint of a stage was found, so the stage is not trained.
    Found(&'a Stage),
    /// A step was done.
    Step(&'a Stage, &'a StepReport),
    /// A stage is trained, and its checkpoint stored.
    Stored(&'a Stage),
}

/// The result of standalone training.
#[derive(Debug, Clone, PartialEq)]
pub enum StandaloneResult {
    /// The stage is trained.
    Completed {
        /// Its result: the losses on held-out tokens.
        result: Measurements,
        /// Its last checkpoint.
        checkpoint: CheckpointRef,
    },
    /// A loss was infinite, NaN or above the stage's limit.
    Diverged {
        /// Key of the stage that diverged, possibly an ancestor.
        stage: StageKey,
        /// Where it diverged, counted from the root.
        step: u64,
        /// The loss there.
        loss: f64,
    },
    /// The caller interrupted it.
    Stopped,
}

/// Why standalone training or a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// The stage is not in the plan.
    #[error("the plan has no {}", stage.short())]
    UnknownStage {
        /// The key that was asked for.
        stage: StageKey,
    },
    /// The device cannot be used.
    #[error("cannot train on the device `{device}`")]
    Device {
        /// The device given.
        device: String,
        /// The cause.
        #[source]
        source: ComputeError,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory")]
    Storage(#[from] StorageError),
    /// The dataset cannot be used.
    #[error("cannot use the data")]
    Dataset(#[from] DatasetError),
    /// Training failed.
    #[error("cannot train {}", stage.short())]
    Training {
        /// Key of the stage that failed, possibly an ancestor.
        stage: StageKey,
        /// The cause.
        #[source]
        source: TrainingError,
    },
    /// A checkpoint was not stored.
    #[error("cannot store the checkpoint")]
    Store(#[from] UploadError),
    /// The checkpoint to start from cannot be read.
    #[error("cannot use the checkpoint to start from")]
    Download(#[from] DownloadError),
    /// The runtime for transfers cannot be started.
    #[error("cannot start a runtime for transfers")]
    Start(#[source] std::io::Error),
}

/// Trains a stage of a plan on this machine, after those of its ancestors whose checkpoints are missing.
///
/// Checkpoints are kept in the data directory and found again by the next call. `progress` hears of every step.
///
/// # Errors
/// If the stage is unknown, the device, the data or a checkpoint cannot be used, or training fails.
pub fn train_standalone(
    options: &StandaloneOptions<'_>,
    progress: &mut (dyn FnMut(StandaloneProgress<'_>) + Send),
) -> Result<StandaloneResult, StandaloneError> {
    let compute = Compute::parse(&options.device, options.threads)
        .map_err(|source| StandaloneError::Device { device: options.device.clone(), source })?
        .with_memory(options.memory_bytes);
    // On a thread of its own, so that it does not matter whether the caller is inside a runtime.
    std::thread::scope(|scope| {
        let training = scope.spawn(|| train_with(options, &mut StageTrainer::new(compute), progress));
        training.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn train_with(
    options: &StandaloneOptions<'_>,
    trainer: &mut dyn Trainer,
    progress: &mut dyn FnMut(StandaloneProgress<'_>),
) -> Result<StandaloneResult, StandaloneError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StandaloneError::Start)?;
    let storage = Storage::local(&options.data_dir)?;
    let mut standalone = Standalone { runtime, storage, trainer, progress, interrupter: &options.interrupter };
    let mut parent = None;
    let path = path(options)?;
    let last = path.len() - 1;
    for (index, stage) in path.into_iter().enumerate() {
        let found = standalone.find(stage);
        let is_found = found.is_some();
        if is_found {
            (standalone.progress)(StandaloneProgress::Found(stage));
        }
        if standalone.interrupter.should_stop() {
            return Ok(StandaloneResult::Stopped);
        }
        if is_found && index < last {
            parent = found;
            continue;
        }
        match standalone.train(stage, found.or(parent.take()), is_found, index == last)? {
            Trained::Stored(checkpoint) => parent = Some(checkpoint),
            Trained::Over(result) => return Ok(result),
        }
    }
    unreachable!("the last stage of a path ends the training")
}

/// The stages from the root to the one asked for.
fn path<'a>(options: &StandaloneOptions<'a>) -> Result<Vec<&'a Stage>, StandaloneError> {
    let stage = |key| options.plan.stage(key).ok_or(StandaloneError::UnknownStage { stage: *key });
    let mut path = vec![stage(&options.stage)?];
    while let Some(parent) = path.last().and_then(|stage| stage.parent.as_ref()) {
        path.push(stage(parent)?);
    }
    path.reverse();
    Ok(path)
}

type Checkpoint = (CheckpointRef, Blobs);

enum Trained {
    Stored(Checkpoint),
    Over(StandaloneResult),
}

struct Standalone<'a> {
    runtime: Runtime,
    storage: Storage,
    trainer: &'a mut dyn Trainer,
    progress: &'a mut dyn FnMut(StandaloneProgress<'_>),
    interrupter: &'a Interrupter,
}

impl Standalone<'_> {
    /// The last checkpoint of a stage, if an earlier call stored it. A damaged one is ignored.
    fn find(&self, stage: &Stage) -> Option<Checkpoint> {
        let key = AttemptKey { stage: stage.key, attempt: STANDALONE };
        match self.runtime.block_on(find(self.storage.store().as_ref(), key, stage.spec.steps.end)) {
            Ok(found) => found,
            Err(error) => {
                warn!(stage = %stage.key, error = one_line(&error), "cannot read the stored checkpoint; training the stage again");
                None
            }
        }
    }

    fn train(
        &mut self,
        stage: &Stage,
        start: Option<Checkpoint>,
        is_own: bool,
        is_last: bool,
    ) -> Result<Trained, StandaloneError> {
        let failed = |source| StandaloneError::Training { stage: stage.key, source };
        // The storage is a folder, from which nothing is downloaded.
        let no_cache = NodeCache::below(self.storage.directory().unwrap_or(Path::new("")), 0);
        let data = self.runtime.block_on(local_dataset(&self.storage, &stage.spec.data.dataset, &no_cache))?;
        let LocalDataset { dir: dataset_dir, .. } = data;
        let point = start.as_ref().map(|(checkpoint, blobs)| StartPoint {
            stage: checkpoint.stage,
            step: checkpoint.step,
            blobs: Blobs::clone(blobs),
        });
        let order = Order { stage: stage.clone(), dataset_dir, start: point };
        let mut training = self.trainer.start(&order).map_err(failed)?;
        info!(stage = %stage.key, step = training.step(), end = stage.spec.steps.end, "training");
        if !is_own {
            (self.progress)(StandaloneProgress::Begun(stage));
        }
        let mut steps = Steps::new(training.as_mut(), &stage.spec, || self.interrupter.should_stop().then_some(()));
        loop {
            match steps.next().map_err(failed)? {
                Event::Finished => break,
                Event::Interrupted(()) => return Ok(Trained::Over(StandaloneResult::Stopped)),
                Event::Step(report) => (self.progress)(StandaloneProgress::Step(stage, &report)),
                Event::Diverged(report) => {
                    (self.progress)(StandaloneProgress::Step(stage, &report));
                    let StepReport { step, loss, .. } = report;
                    return Ok(Trained::Over(StandaloneResult::Diverged { stage: stage.key, step, loss }));
                }
            }
        }
        let (checkpoint, blobs) = match start.filter(|_| is_own) {
            Some(found) => found,
            None => {
                let take = training.snapshot().map_err(failed)?;
                let blobs = Blobs::new(take().map_err(failed)?);
                let key = AttemptKey { stage: stage.key, attempt: STANDALONE };
                let storing = upload(self.storage.store().as_ref(), key, stage.spec.steps.end, &blobs);
                let checkpoint = self.runtime.block_on(storing)?;
                (self.progress)(StandaloneProgress::Stored(stage));
                (checkpoint, blobs)
            }
        };
        if is_last {
            let result = training.validate().map_err(failed)?.measurements;
            return Ok(Trained::Over(StandaloneResult::Completed { result, checkpoint }));
        }
        Ok(Trained::Stored((checkpoint, blobs)))
    }
}
