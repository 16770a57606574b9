//! What a worker does around its steps: data, losses on their way to the shell, checkpoints.
//!
//! [`worker::runner`] trains a stage as a worker does, with a clock around every call into the trainer.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vocabulary::{Attempt, Measured, Stage as PlannedStage, StageRole};
use worker::StallLimits;
use worker::checkpoint::{Blobs, upload};
use worker::runner::{Controls, Ended, Report, Runner, Stop};
use worker::training::{
    EvaluationOrder, Measuring, Order, PendingBlobs, StageTrainer, StepReport, Task, Trainer, Training, TrainingError,
};
use worker::{AttemptKey, Storage};

use super::{MeasureError, Stage, repeat};
use crate::summary::Summary;
use crate::task::Request;

/// Times around a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Around {
    /// A whole step, including its batch.
    pub step_seconds: Summary,
    /// Making the step's batch.
    pub batch_seconds: Summary,
    /// From the end of a step to the beginning of the next without a checkpoint between: recording the loss, sending
    /// losses now and then, checking whether to stop.
    pub between_seconds: Summary,
    /// Taking a snapshot, for which training waits.
    pub snapshot_seconds: Summary,
    /// Serialising a snapshot, on another thread.
    pub encode_seconds: Summary,
    /// Hashing it and writing it to disk, on another thread.
    pub store_seconds: Summary,
    pub checkpoint_bytes: u64,
    /// Median step during a checkpoint's storage over the median of other steps; `None` if storing is faster than a
    /// step.
    pub slowdown_while_storing: Option<f64>,
}

/// Seconds between two checkpoints of a worker, by default.
pub const CHECKPOINT_INTERVAL: f64 = 30.0;

impl Around {
    /// Share of a step's time that goes to the batch, to the gap between steps, and to a checkpoint every
    /// [`CHECKPOINT_INTERVAL`]: the wait for the snapshot and the slowdown while it is stored.
    #[must_use]
    pub fn shares(&self) -> [f64; 3] {
        let step = self.step_seconds.median;
        let storing = self.encode_seconds.median + self.store_seconds.median;
        let lost = self.slowdown_while_storing.map_or(0.0, |factor| storing * (1.0 - 1.0 / factor.max(1.0)));
        let checkpoint = (self.snapshot_seconds.median + lost) / CHECKPOINT_INTERVAL;
        [self.batch_seconds.median / step, self.between_seconds.median / step, checkpoint]
    }

    /// Bytes per second written to disk.
    #[must_use]
    pub fn store_bytes_per_second(&self) -> f64 {
        self.checkpoint_bytes as f64 / self.store_seconds.median
    }
}

/// Times of events on the training thread.
#[derive(Debug, Default)]
struct Clock {
    steps: Vec<(Instant, Instant)>,
    snapshots: Vec<(Instant, Instant)>,
}

type SharedClock = Arc<Mutex<Clock>>;

/// A trainer with a clock around it.
struct TimedTrainer {
    inner: StageTrainer,
    clock: SharedClock,
}

struct TimedTraining {
    inner: Box<dyn Training>,
    clock: SharedClock,
}

fn read(clock: &SharedClock) -> MutexGuard<'_, Clock> {
    clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Trainer for TimedTrainer {
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError> {
        Ok(Box::new(TimedTraining { inner: self.inner.start(order)?, clock: Arc::clone(&self.clock) }))
    }

    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError> {
        self.inner.evaluate(order)
    }
}

impl Training for TimedTraining {
    fn step(&self) -> u64 {
        self.inner.step()
    }

    fn is_finished(&self) -> bool {
        self.inner.is_finished()
    }

    fn next_step(&mut self) -> Result<StepReport, TrainingError> {
        let before = Instant::now();
        let report = self.inner.next_step()?;
        read(&self.clock).steps.push((before, Instant::now()));
        Ok(report)
    }

    fn validate(&mut self) -> Result<Measured, TrainingError> {
        self.inner.validate()
    }

    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
        let before = Instant::now();
        let blobs = self.inner.snapshot()?;
        read(&self.clock).snapshots.push((before, Instant::now()));
        Ok(blobs)
    }
}

/// A checkpoint on its way to disk.
struct Stored {
    began: Instant,
    encoded: Instant,
    ended: Instant,
    bytes: u64,
}

pub(super) fn measure(stage: &Stage, dataset: &Path, scratch: &Path, request: Request) -> Result<Around, MeasureError> {
    let mut step = 0;
    let batch = &mut || {
        let before = Instant::now();
        drop(stage.data.train_batch(stage.spec.data.order_seed, step, &stage.spec.batch));
        step += 1;
        Ok(before.elapsed().as_secs_f64())
    };
    let batches = repeat(Request { seconds: 0.0, at_least: 200 }, batch)?;

    let clock = SharedClock::default();
    let trainer = TimedTrainer { inner: StageTrainer::new(stage.compute.clone()), clock: Arc::clone(&clock) };
    let stored = train(trainer, stage, dataset, scratch, request)?;
    let clock = read(&clock);
    summarise(&clock, &stored, batches).ok_or_else(|| failed("it took no step or no checkpoint"))
}

/// Trains for as long as the request says and until a checkpoint has been stored, repeatedly.
fn train(
    trainer: TimedTrainer,
    stage: &Stage,
    dataset: &Path,
    scratch: &Path,
    request: Request,
) -> Result<Vec<Stored>, MeasureError> {
    let storage = Storage::local(scratch).map_err(|error| failed(&error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let spec = stage.spec.clone();
    let (key, seed) = (spec.key(None), spec.start.init_seed);
    let (role, size) = (StageRole::Whole, "bench".to_owned());
    let planned = PlannedStage { key, parent: None, spec, role, size, seed };
    let key = AttemptKey { stage: planned.key, attempt: Attempt(1) };
    let order = Order { stage: planned, dataset_dir: dataset.to_owned(), start: None };
    // Half of the time without checkpoints, for comparison.
    let interval = Duration::from_secs_f64(request.seconds / 2.0);
    let (runner, mut reports) = Runner::start(trainer, Some(interval), StallLimits::default())?;
    let controls = runner.begin(key, Task::Train(order), worker::Cadence::default());
    let (begun, mut steps, mut stored) = (Instant::now(), 0, Vec::new());
    while let Some(report) = reports.blocking_recv() {
        match report {
            Report::Points { points, .. } => steps += points.len(),
            Report::Checkpoint { step, blobs, .. } => {
                stored.push(store(&runtime, &storage, key, step, blobs)?);
                controls.stored();
            }
            Report::Ended { ended: Ended::Stopped, .. } => break,
            Report::Ended { ended, .. } => return Err(failed(&format!("{ended:?}"))),
        }
        if begun.elapsed().as_secs_f64() >= request.seconds && steps >= request.at_least && !stored.is_empty() {
            Controls::stop(&controls, Stop::Abandon);
        }
    }
    Ok(stored)
}

/// Stores a checkpoint beside training, as the shell does.
fn store(
    runtime: &tokio::runtime::Runtime,
    storage: &Storage,
    key: AttemptKey,
    step: u64,
    blobs: PendingBlobs,
) -> Result<Stored, MeasureError> {
    let began = Instant::now();
    let blobs = Blobs::new(blobs().map_err(|error| failed(&error.to_string()))?);
    let encoded = Instant::now();
    runtime
        .block_on(upload(storage.store().as_ref(), key, step, &blobs))
        .map_err(|error| failed(&error.to_string()))?;
    let bytes = blobs.iter().map(|blob| blob.bytes.len() as u64).sum();
    Ok(Stored { began, encoded, ended: Instant::now(), bytes })
}

fn summarise(clock: &Clock, stored: &[Stored], batches: Vec<f64>) -> Option<Around> {
    let seconds = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64();
    // The first steps fill caches.
    let steps = clock.steps.get(2..).filter(|steps| !steps.is_empty()).unwrap_or(&clock.steps);
    let is_storing = |&&(from, to): &&(Instant, Instant)| stored.iter().any(|one| from < one.ended && to > one.began);
    let durations = |storing: bool| {
        let chosen = steps.iter().filter(move |step| is_storing(step) == storing);
        Summary::of(chosen.map(|&(from, to)| seconds(from, to)))
    };
    let (undisturbed, disturbed) = (durations(false), durations(true));
    let gaps = steps.windows(2).filter_map(|pair| {
        let (from, to) = (pair[0].1, pair[1].0);
        let has_snapshot = clock.snapshots.iter().any(|snapshot| snapshot.0 >= from && snapshot.1 <= to);
        (!has_snapshot).then(|| seconds(from, to))
    });
    Some(Around {
        step_seconds: undisturbed.or(disturbed)?,
        batch_seconds: Summary::of(batches)?,
        between_seconds: Summary::of(gaps)?,
        snapshot_seconds: Summary::of(clock.snapshots.iter().map(|&(from, to)| seconds(from, to)))?,
        encode_seconds: Summary::of(stored.iter().map(|one| seconds(one.began, one.encoded)))?,
        store_seconds: Summary::of(stored.iter().map(|one| seconds(one.encoded, one.ended)))?,
        checkpoint_bytes: stored.first()?.bytes,
        slowdown_while_storing: disturbed.zip(undisturbed).map(|(slow, fast)| slow.median / fast.median),
    })
}

fn failed(reason: &str) -> MeasureError {
    MeasureError::Runner { reason: reason.to_owned() }
}
