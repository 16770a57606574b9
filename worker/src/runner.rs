//! The training thread. Between two steps it waits for nothing but a full channel.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as commands;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{info, info_span};
use trainer::Interrupter;
use vocabulary::text::one_line;
use vocabulary::{AttemptKey, Measured, StageKey};

use crate::cadence::{Cadence, Meter};
use crate::checkpoint::CheckpointRef;
use crate::pulse::{Phase, Pulse, StallLimits};
use crate::training::{
    EvaluationOrder, Event, Order, PendingBlobs, StepReport, Steps, Task, Trainer, Training, TrainingError,
};

/// A batch of curve points is reported when it has this many.
const BATCH_POINTS: usize = 256;
/// A batch of curve points is reported when it is this old.
const BATCH_AGE: Duration = Duration::from_millis(500);
/// Reports that may queue before training waits for the shell.
const REPORTS_WAITING: usize = 64;

/// A report of the training thread.
pub enum Report {
    /// Steps were done.
    Points {
        /// The attempt.
        key: AttemptKey,
        /// At least one, ascending, one per step without gaps.
        points: Vec<StepReport>,
        /// The speed over these steps.
        tokens_per_second: f64,
    },
    /// A checkpoint was taken. Points before it have been reported.
    Checkpoint {
        /// The attempt.
        key: AttemptKey,
        /// Steps done.
        step: u64,
        /// The checkpoint's content.
        blobs: PendingBlobs,
    },
    /// The attempt ended, and nothing of it is training any more.
    Ended {
        /// The attempt.
        key: AttemptKey,
        /// The outcome.
        ended: Ended,
    },
}

/// How an attempt ended on this worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The last step is done, or the evaluation is.
    Completed {
        /// Steps done at the checkpoint that is the last one, or that was evaluated.
        step: u64,
        result: Measured,
    },
    /// The loss was infinite, NaN or above the stage's limit.
    Diverged {
        /// Where it diverged, counted from the root.
        step: u64,
        /// The loss there.
        loss: f64,
    },
    /// An error or a panic stopped it.
    Failed {
        /// The error and its causes.
        reason: String,
        /// Whether it had started to train.
        started: bool,
    },
    /// The checkpoint to start from is missing, or is not what was committed.
    StartUnusable {
        /// As the assignment names it.
        checkpoint: CheckpointRef,
        /// What is wrong with it.
        reason: String,
    },
    /// The storage could not be read, or the data in it is damaged.
    StorageFailed {
        /// The error and its causes.
        reason: String,
    },
    /// It was told to stop.
    Stopped,
    /// It was told to hand the attempt back, and took a checkpoint if it had done a step.
    Released,
}

/// What an error means for the attempt. One that cannot start because its data is damaged or unreadable is the storage's
/// fault: another try may succeed once somebody has replaced the data, and would fail as often until then.
fn failed(error: &(dyn std::error::Error + Send + Sync + 'static), started: bool) -> Ended {
    let reason = one_line(error);
    match error.downcast_ref::<corpus::OpenError>() {
        Some(_) if !started => Ended::StorageFailed { reason },
        _ => Ended::Failed { reason, started },
    }
}

/// For the log.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { step, .. } => write!(f, "completed at step {step}"),
            Self::Diverged { step, loss } => write!(f, "diverged at step {step} with a loss of {loss}"),
            Self::Failed { reason, .. } => write!(f, "failed: {reason}"),
            Self::StartUnusable { checkpoint, reason } => {
                write!(f, "cannot start from step {} of {}: {reason}", checkpoint.step, checkpoint.stage.short())
            }
            Self::StorageFailed { reason } => write!(f, "the storage failed: {reason}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Released => f.write_str("handed back"),
        }
    }
}

/// Why an attempt has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nobody needs it any more.
    Abandon,
    /// The worker has to stop: take a checkpoint first.
    Release,
}

/// The shell's controls of an attempt in training.
#[derive(Default)]
pub struct Controls {
    interrupter: Interrupter,
    is_abandoned: AtomicBool,
    storing: AtomicBool,
}

impl Controls {
    /// Asks to stop after the current step. This cannot be undone; abandoning outranks releasing.
    pub fn stop(&self, stop: Stop) {
        if stop == Stop::Abandon {
            self.is_abandoned.store(true, Ordering::Relaxed);
        }
        self.interrupter.stop(None);
    }

    /// Tells that the last checkpoint is stored, so that another may be taken.
    pub fn stored(&self) {
        self.storing.store(false, Ordering::Relaxed);
    }

    fn asked_to(&self) -> Option<Stop> {
        let is_abandoned = self.is_abandoned.load(Ordering::Relaxed);
        let asked = if is_abandoned { Stop::Abandon } else { Stop::Release };
        (is_abandoned || self.interrupter.should_stop()).then_some(asked)
    }
}

struct Command {
    key: AttemptKey,
    task: Task,
    cadence: Cadence,
    controls: Arc<Controls>,
}

/// The shell's handle to the training thread, which ends after its current attempt once this is dropped.
#[derive(Debug)]
pub struct Runner {
    commands: commands::Sender<Command>,
    pulse: Arc<Pulse>,
}

impl Runner {
    /// Starts the thread, and returns the receiver of its reports. `checkpoint_interval` is the training time between two
    /// checkpoints, instead of the cadence of each attempt.
    pub fn start(
        trainer: impl Trainer,
        checkpoint_interval: Option<Duration>,
        limits: StallLimits,
    ) -> std::io::Result<(Self, mpsc::Receiver<Report>)> {
        let (commands, orders) = commands::channel();
        let (reports, receiver) = mpsc::channel(REPORTS_WAITING);
        let pulse = Arc::new(Pulse::new(limits));
        let thread = TrainingThread { trainer, reports, checkpoint_interval, pulse: Arc::clone(&pulse) };
        std::thread::Builder::new().name("training".to_owned()).spawn(move || thread.run(&orders))?;
        Ok((Self { commands, pulse }, receiver))
    }

    /// Whether the thread gets anywhere.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Queues an attempt. Its end is always reported.
    pub fn begin(&self, key: AttemptKey, task: Task, cadence: Cadence) -> Arc<Controls> {
        let controls = Arc::new(Controls::default());
        // The thread ends only once nobody receives its reports, and then there is nobody to tell.
        let _ = self.commands.send(Command { key, task, cadence, controls: Arc::clone(&controls) });
        controls
    }
}

/// The shell is gone.
struct Unheard;

struct TrainingThread<T> {
    trainer: T,
    reports: mpsc::Sender<Report>,
    checkpoint_interval: Option<Duration>,
    pulse: Arc<Pulse>,
}

impl<T: Trainer> TrainingThread<T> {
    fn run(mut self, orders: &commands::Receiver<Command>) {
        while let Ok(Command { key, task, cadence, controls }) = orders.recv() {
            let _span = info_span!("attempt", stage = %key.stage, attempt = key.attempt.0).entered();
            let Ok(ended) = self.attempt(key, &task, cadence, &controls) else { return };
            self.pulse.begin(Phase::Idle, Duration::ZERO, 0);
            info!(%ended, "attempt over");
            if self.say(Report::Ended { key, ended }).is_err() {
                return;
            }
        }
    }

    fn attempt(
        &mut self,
        key: AttemptKey,
        task: &Task,
        cadence: Cadence,
        controls: &Controls,
    ) -> Result<Ended, Unheard> {
        let mut started = false;
        let caught = catch_unwind(AssertUnwindSafe(|| match task {
            Task::Train(order) => self.steps(key, order, cadence, controls, &mut started),
            Task::Evaluate(order) => self.evaluate(order, controls, &mut started),
        }));
        match caught {
            Ok(Ok(ended)) => Ok(ended),
            Ok(Err(Break::Unheard)) => Err(Unheard),
            Ok(Err(Break::Failed(error))) => Ok(failed(error.as_ref(), started)),
            Err(panic) => {
                let reason = format!("training panicked: {}", panic_text(&*panic));
                Ok(Ended::Failed { reason, started })
            }
        }
    }

    fn evaluate(&mut self, order: &EvaluationOrder, controls: &Controls, begun: &mut bool) -> Result<Ended, Break> {
        let stopped = |controls: &Controls| match controls.asked_to() {
            Some(Stop::Abandon) => Some(Ended::Stopped),
            Some(Stop::Release) => Some(Ended::Released),
            None => None,
        };
        if let Some(ended) = stopped(controls) {
            return Ok(ended);
        }
        self.pulse.begin(Phase::Loading, Duration::ZERO, 0);
        let measure = self.trainer.evaluate(order)?;
        *begun = true;
        let step = order.checkpoint.step;
        info!(of = %order.evaluation.parent, step, text = order.evaluation.name, "evaluating");
        self.pulse.begin(Phase::Evaluation, Duration::ZERO, 0);
        let measured = measure(&controls.interrupter)?;
        let completed = measured.map(|result| Ended::Completed { step, result });
        Ok(completed.or_else(|| stopped(controls)).unwrap_or(Ended::Released))
    }

    fn steps(
        &mut self,
        key: AttemptKey,
        order: &Order,
        cadence: Cadence,
        controls: &Controls,
        begun: &mut bool,
    ) -> Result<Ended, Break> {
        if let Some(stop) = controls.asked_to() {
            return Ok(if stop == Stop::Abandon { Ended::Stopped } else { Ended::Released });
        }
        self.pulse.begin(Phase::Loading, Duration::ZERO, 0);
        let mut training = self.trainer.start(order)?;
        *begun = true;
        let spec = &order.stage.spec;
        info!(step = training.step(), end = spec.steps.end, size = %order.stage.size, "training");
        let mut batch = PointBatch::new(self.trainer.now());
        let mut checkpoint_at = self.trainer.now();
        let mut meter = Meter::default();
        let (mut phase, mut slowest) = (Phase::FirstStep, Duration::ZERO);
        let mut steps = Steps::new(training.as_mut(), spec, || controls.asked_to());
        loop {
            let step_began = Instant::now();
            self.pulse.begin(phase, slowest, 0);
            match steps.next()? {
                Event::Finished => break,
                Event::Interrupted(Stop::Abandon) => return Ok(Ended::Stopped),
                Event::Interrupted(Stop::Release) => {
                    self.flush(key, &mut batch)?;
                    if steps.has_advanced() {
                        self.checkpoint(key, steps.training(), slowest, controls)?;
                    }
                    return Ok(Ended::Released);
                }
                Event::Diverged(report) => {
                    let (step, loss) = (report.step, report.loss);
                    batch.points.push(report);
                    self.flush(key, &mut batch)?;
                    return Ok(Ended::Diverged { step, loss });
                }
                Event::Step(report) => batch.points.push(report),
            }
            let storing = controls.storing.load(Ordering::Relaxed);
            let took = step_began.elapsed();
            // The first step compiles kernels, so it says nothing of the others.
            slowest = if phase == Phase::FirstStep { slowest } else { slowest.max(took) };
            phase = Phase::Step;
            meter.step(took, storing);
            let now = self.trainer.now();
            if batch.is_due(now) {
                self.flush(key, &mut batch)?;
            }
            let interval = self.checkpoint_interval.unwrap_or_else(|| cadence.interval(meter.cost()));
            if now.duration_since(checkpoint_at) >= interval && !storing && !steps.training().is_finished() {
                self.flush(key, &mut batch)?;
                let began = Instant::now();
                self.checkpoint(key, steps.training(), slowest, controls)?;
                checkpoint_at = self.trainer.now();
                meter.checkpoint(began.elapsed());
            }
        }
        self.flush(key, &mut batch)?;
        if !is_own_last(order, key.stage) {
            self.checkpoint(key, training.as_mut(), slowest, controls)?;
        }
        // The checkpoint is stored meanwhile.
        let as_steps = spec.validation_tokens.div_ceil(spec.batch.tokens().max(1));
        self.pulse.begin(Phase::Validation, slowest, u32::try_from(as_steps).unwrap_or(u32::MAX));
        let result = training.validate()?;
        Ok(Ended::Completed { step: training.step(), result })
    }

    fn checkpoint(
        &self,
        key: AttemptKey,
        training: &mut dyn Training,
        slowest: Duration,
        controls: &Controls,
    ) -> Result<(), Break> {
        self.pulse.begin(Phase::Checkpoint, slowest, 0);
        let blobs = training.snapshot()?;
        controls.storing.store(true, Ordering::Relaxed);
        Ok(self.say(Report::Checkpoint { key, step: training.step(), blobs })?)
    }

    fn flush(&self, key: AttemptKey, batch: &mut PointBatch) -> Result<(), Break> {
        let Some((points, tokens_per_second)) = batch.take(self.trainer.now()) else { return Ok(()) };
        Ok(self.say(Report::Points { key, points, tokens_per_second })?)
    }

    fn say(&self, report: Report) -> Result<(), Unheard> {
        self.pulse.while_reporting(|| self.reports.blocking_send(report).map_err(|_| Unheard))
    }
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Whether the attempt starts from the stage's own last checkpoint: it was committed, and only the result was lost.
fn is_own_last(order: &Order, stage: StageKey) -> bool {
    order.start.as_ref().is_some_and(|start| start.stage == stage && start.step == order.stage.spec.steps.end)
}

enum Break {
    Unheard,
    Failed(TrainingError),
}

impl From<Unheard> for Break {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl From<TrainingError> for Break {
    fn from(error: TrainingError) -> Self {
        Self::Failed(error)
    }
}

struct PointBatch {
    points: Vec<StepReport>,
    since: Instant,
}

impl PointBatch {
    fn new(now: Instant) -> Self {
        Self { points: Vec::new(), since: now }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.points.len() >= BATCH_POINTS || now.duration_since(self.since) >= BATCH_AGE
    }

    fn take(&mut self, now: Instant) -> Option<(Vec<StepReport>, f64)> {
        let seconds = now.duration_since(self.since).as_secs_f64();
        self.since = now;
        if self.points.is_empty() {
            return None;
        }
        let points = std::mem::take(&mut self.points);
        let tokens: u64 = points.iter().map(|point| point.tokens).sum();
        Some((points, tokens as f64 / seconds.max(f64::EPSILON)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use corpus::OpenDataset;

    use super::*;

    #[test]
    fn data_that_cannot_be_opened_is_the_storages_fault() {
        let error: TrainingError = OpenDataset::open(Path::new("/no/such/dataset")).expect_err("is missing").into();
        let Ended::StorageFailed { reason } = failed(error.as_ref(), false) else { panic!("nobody's attempt counts") };
        assert!(reason.contains("/no/such/dataset"), "{reason}");
        assert!(matches!(failed(error.as_ref(), true), Ended::Failed { started: true, .. }));
        let other: TrainingError = "no memory".into();
        assert!(matches!(failed(other.as_ref(), false), Ended::Failed { started: false, .. }));
    }
}
