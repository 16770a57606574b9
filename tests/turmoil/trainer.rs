//! A trainer without tensors that takes simulated time and records each step.
//!
//! Its weights are a hash over the steps, so that a skipped or repeated step shows; its losses are a function of stage and
//! step. The gradient norm identifies the training run of a point.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measured, Measurements, StageKey, WorkerId};
use worker::training::{
    Blob, EvaluationOrder, Measuring, Order, PendingBlobs, StepReport, Trainer, Training, TrainingError,
};

/// What a step takes.
pub(crate) const STEP: Duration = Duration::from_millis(300);

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// The loss of a stage at a step: any pure function of both.
pub(crate) fn loss_at(stage: &StageKey, step: u64) -> f64 {
    let text = format!("{stage}");
    let size = text.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))) % 100;
    6.0 / (1.0 + step as f64 / 7.0) + size as f64 / 1000.0
}

/// The weights after these steps, from those before them; without any, from the initial ones.
fn weights_after(steps: Range<u64>, before: Option<&[u8]>) -> Vec<u8> {
    let initial = before.map_or_else(|| b"initial weights".to_vec(), <[u8]>::to_vec);
    steps.fold(initial, |weights, step| {
        blake3::hash(&[&weights, step.to_le_bytes().as_slice()].concat()).as_bytes().to_vec()
    })
}

/// Whether these are the blobs of a checkpoint after so many steps.
pub(crate) fn is_checkpoint_after(step: u64, blobs: &[Blob]) -> bool {
    let blob = |name| blobs.iter().find(|blob| blob.name == name).map(|blob| blob.bytes.as_slice());
    blob(WEIGHTS) == Some(weights_after(0..step, None).as_slice()) && blob(OPTIMIZER) == Some(&moments_after(step))
}

fn moments_after(step: u64) -> Vec<u8> {
    format!("moments after {step} steps").into_bytes()
}

/// A stage that a worker began to train, and the steps it did.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) stage: StageKey,
    pub(crate) worker: WorkerId,
    pub(crate) host: usize,
    /// When each of its steps was done.
    pub(crate) steps: BTreeMap<u64, Duration>,
    pub(crate) began: Duration,
}

#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    /// What threads wait for.
    due: Vec<Duration>,
}

/// The simulated time, as training threads see it, and all that was trained.
#[derive(Debug)]
pub(crate) struct Track {
    clock: Mutex<Clock>,
    moved: Condvar,
    began: Instant,
    trained: Mutex<Vec<Trained>>,
    /// Hosts whose worker fails whatever it is given, and how often it did.
    broken: Mutex<BTreeMap<usize, usize>>,
}

impl Track {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: Mutex::default(),
            moved: Condvar::new(),
            began: Instant::now(),
            trained: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    /// Moves the time, and wakes who has waited for it.
    pub(crate) fn move_to(&self, now: Duration) {
        let mut clock = lock(&self.clock);
        clock.now = now;
        let waiting = clock.due.len();
        clock.due.retain(|due| *due > now);
        if clock.due.len() < waiting {
            self.moved.notify_all();
        }
    }

    /// From now on, the worker of a host fails whatever it is given.
    pub(crate) fn break_host(&self, host: usize) {
        lock(&self.broken).entry(host).or_default();
    }

    /// How often broken workers failed.
    pub(crate) fn failures(&self) -> usize {
        lock(&self.broken).values().sum()
    }

    fn fail_if_broken(&self, host: usize) -> Result<(), TrainingError> {
        match lock(&self.broken).get_mut(&host) {
            Some(failures) => {
                *failures += 1;
                Err("no such device".into())
            }
            None => Ok(()),
        }
    }

    /// Has the threads of processes see that they are over.
    pub(crate) fn end(&self, lives: &[Life]) {
        let _clock = lock(&self.clock);
        lives.iter().for_each(|life| life.is_over.store(true, Ordering::SeqCst));
        self.moved.notify_all();
    }

    pub(crate) fn now(&self) -> Duration {
        lock(&self.clock).now
    }

    pub(crate) fn trained(&self) -> Vec<Trained> {
        lock(&self.trained).clone()
    }

    /// Waits for simulated time. False, if the process dies before.
    fn wait_until(&self, due: Duration, life: &Life) -> bool {
        let waiting = |clock: &mut Clock| clock.now < due && !life.is_over();
        let mut clock = lock(&self.clock);
        clock.due.push(due);
        drop(self.moved.wait_while(clock, waiting).unwrap_or_else(PoisonError::into_inner));
        !life.is_over()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process of a worker. Its thread outlives it by the little that it takes to see that it has ended.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) worker: WorkerId,
    pub(crate) host: usize,
    is_over: Arc<AtomicBool>,
    is_hung: Arc<AtomicBool>,
}

impl Life {
    pub(crate) fn new(worker: WorkerId, host: usize) -> Self {
        Self { worker, host, is_over: Arc::default(), is_hung: Arc::default() }
    }

    /// Its training does no step any more.
    pub(crate) fn hang(&self) {
        self.is_hung.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

pub(crate) struct PaperTrainer {
    pub(crate) track: Arc<Track>,
    pub(crate) life: Life,
}

impl Trainer for PaperTrainer {
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError> {
        self.track.fail_if_broken(self.life.host)?;
        let found = order.start.as_ref().map(|start| {
            assert!(is_checkpoint_after(start.step, &start.blobs), "a start of {} steps", start.step);
            let weights = start.blobs.iter().find(|blob| blob.name == WEIGHTS).expect("it was looked at");
            (start.step, weights.bytes.clone())
        });
        let (step, weights) = found.unwrap_or_else(|| (order.stage.spec.steps.start, weights_after(0..0, None)));
        let (stage, end) = (order.stage.key, order.stage.spec.steps.end);
        let (track, life) = (Arc::clone(&self.track), self.life.clone());
        let began = track.now();
        let mut trained = lock(&track.trained);
        trained.push(Trained { stage, worker: life.worker, host: life.host, steps: BTreeMap::new(), began });
        let number = trained.len() - 1;
        drop(trained);
        Ok(Box::new(PaperTraining { number, stage, step, end, weights, due: began, track, life }))
    }

    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError> {
        self.track.fail_if_broken(self.life.host)?;
        let (stage, step) = (order.evaluation.parent, order.checkpoint.step);
        assert!(is_checkpoint_after(step, &order.checkpoint.blobs), "a checkpoint of {step} steps");
        Ok(Box::new(move |_| Ok(Some(validation(loss_at(&stage, step))))))
    }

    fn now(&self) -> Instant {
        self.track.began + self.track.now()
    }
}

fn validation(loss: f64) -> Measured {
    Measurements::new().with(VALIDATION_LOSS, loss).with(VALIDATION_LOSS_PER_BYTE, loss / 3.0).into()
}

struct PaperTraining {
    number: usize,
    stage: StageKey,
    step: u64,
    end: u64,
    weights: Vec<u8>,
    due: Duration,
    track: Arc<Track>,
    life: Life,
}

impl Training for PaperTraining {
    fn step(&self) -> u64 {
        self.step
    }

    fn is_finished(&self) -> bool {
        self.step >= self.end
    }

    fn next_step(&mut self) -> Result<StepReport, TrainingError> {
        let hangs = self.life.is_hung.load(Ordering::SeqCst);
        self.due = if hangs { Duration::MAX } else { self.due.max(self.track.now()) + STEP };
        if !self.track.wait_until(self.due, &self.life) {
            return Err("the process was killed".into());
        }
        let step = self.step;
        lock(&self.track.trained)[self.number].steps.insert(step, self.due);
        self.weights = weights_after(step..step + 1, Some(&self.weights));
        self.step += 1;
        let loss = loss_at(&self.stage, step);
        Ok(StepReport {
            step,
            loss,
            grad_norm: self.number as f64,
            learning_rate: 0.01,
            tokens: 1024,
            measurements: Measurements::new(),
        })
    }

    fn validate(&mut self) -> Result<Measured, TrainingError> {
        Ok(validation(loss_at(&self.stage, self.step)))
    }

    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
        let (weights, step) = (self.weights.clone(), self.step);
        Ok(Box::new(move || {
            Ok(vec![
                Blob { name: WEIGHTS.to_owned(), bytes: weights },
                Blob { name: OPTIMIZER.to_owned(), bytes: moments_after(step) },
            ])
        }))
    }
}
