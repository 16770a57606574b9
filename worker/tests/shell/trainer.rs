//! A trainer without tensors. Its weights are a hash over the steps that were done, so that a step left out or done twice
//! shows; its losses are a function of the step; and a test can hold it before any step.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::watch;
use tokio::time::timeout;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{DocumentLoss, Measured, Measurements, Rows};
use worker::training::{
    Blob, EvaluationOrder, Measuring, Order, PendingBlobs, StepReport, Trainer, Training, TrainingError,
};

use crate::bench::PATIENCE;

pub(crate) const WEIGHTS: &str = "weights.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";

/// The loss at a step: any pure function of it.
pub(crate) fn loss_at(step: u64) -> f64 {
    6.0 / (1.0 + step as f64 / 7.0)
}

/// The weights after these steps, from those before them; without any, from the initial ones.
pub(crate) fn weights_after(steps: Range<u64>, before: Option<&[u8]>) -> Vec<u8> {
    let initial = before.map_or_else(|| b"initial weights".to_vec(), <[u8]>::to_vec);
    steps.fold(initial, |weights, step| {
        blake3::hash(&[&weights, step.to_le_bytes().as_slice()].concat()).as_bytes().to_vec()
    })
}

/// What becomes of a stage that is not simply trained.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    DoesNotStart,
    PanicsAt(u64),
    DivergesAt(u64),
    RunsAwayAt(u64),
    LosesItsCheckpoints,
    PanicsInItsCheckpoints,
}

/// Holds the training thread before a step, and tells where it is. Clones hold the same one.
#[derive(Clone)]
pub(crate) struct Reins {
    /// The first step that is not to be done.
    limit: Arc<(Mutex<u64>, Condvar)>,
    /// The step that is being done or that it is held before, and one past the last where none is left.
    next: Arc<watch::Sender<u64>>,
}

impl Reins {
    /// Has training stop before this step, and start again if it is beyond the step it is held at.
    pub(crate) fn hold_at(&self, step: u64) {
        *self.limit.0.lock().expect("nobody panics with it") = step;
        self.limit.1.notify_all();
    }

    pub(crate) fn let_go(&self) {
        self.hold_at(u64::MAX);
    }

    /// Waits until training is inside this step, for which it may be held; or past the last, if this is one past it.
    pub(crate) async fn arrives_at(&self, step: u64) {
        let mut next = self.next.subscribe();
        let arrived = timeout(PATIENCE, next.wait_for(|next| *next == step)).await;
        arrived.unwrap_or_else(|_| panic!("it is at {}, not {step}", self.at())).expect("the sender is here");
    }

    /// The step that training is inside of, or was inside of last; one past the last step of a stage that has none left.
    pub(crate) fn at(&self) -> u64 {
        *self.next.borrow()
    }

    fn before(&self, step: u64) {
        self.next.send_replace(step);
        let limit = self.limit.0.lock().expect("nobody panics with it");
        drop(self.limit.1.wait_while(limit, |limit| step >= *limit).expect("nobody panics with it"));
    }
}

pub(crate) struct PaperTrainer {
    fates: BTreeMap<String, Fate>,
    reins: Reins,
}

impl PaperTrainer {
    /// A trainer, and what holds it.
    pub(crate) fn new() -> (Self, Reins) {
        let reins = Reins {
            limit: Arc::new((Mutex::new(u64::MAX), Condvar::new())),
            next: Arc::new(watch::channel(u64::MAX).0),
        };
        (Self { fates: BTreeMap::new(), reins: reins.clone() }, reins)
    }

    /// One to which stages of this name come to this end.
    pub(crate) fn with_fate(mut self, stage: &str, fate: Fate) -> Self {
        self.fates.insert(stage.to_owned(), fate);
        self
    }
}

impl Trainer for PaperTrainer {
    fn start(&mut self, order: &Order) -> Result<Box<dyn Training>, TrainingError> {
        assert!(order.dataset_dir.is_dir(), "the data is at hand");
        let fate = self.fates.get(&order.stage.size).copied();
        if matches!(fate, Some(Fate::DoesNotStart)) {
            return Err("no such device".into());
        }
        let found = order.start.as_ref().map(|start| {
            let blob = start.blobs.iter().find(|blob| blob.name == WEIGHTS).expect("a checkpoint has weights");
            (start.step, blob.bytes.clone())
        });
        let (step, weights) = found.unwrap_or_else(|| (order.stage.spec.steps.start, weights_after(0..0, None)));
        Ok(Box::new(PaperTraining { step, end: order.stage.spec.steps.end, weights, fate, reins: self.reins.clone() }))
    }

    /// What the stage has measured at its end. It can be held as before a step: the one after the step that a stage which ends
    /// there is at, so that the two are told apart.
    fn evaluate(&mut self, order: &EvaluationOrder) -> Result<Measuring, TrainingError> {
        assert!(order.dataset_dir.is_dir(), "the text is at hand");
        assert!(order.checkpoint.blobs.iter().any(|blob| blob.name == WEIGHTS), "a checkpoint has weights");
        if matches!(self.fates.get(&order.evaluation.size), Some(Fate::DoesNotStart)) {
            return Err("no such device".into());
        }
        let (reins, step) = (self.reins.clone(), order.checkpoint.step);
        Ok(Box::new(move |interrupter| {
            reins.before(step + 1);
            Ok((!interrupter.should_stop()).then(|| validation(loss_at(step))))
        }))
    }
}

fn validation(loss: f64) -> Measured {
    let rows = rows(loss);
    let measurements = Measurements::new().with(VALIDATION_LOSS, loss).with(VALIDATION_LOSS_PER_BYTE, loss / 3.0);
    Measured { measurements, rows }
}

/// Two documents behind a loss.
pub(crate) fn rows(loss: f64) -> Rows {
    let row = |share: f64| DocumentLoss { nats: share * loss * 100.0, tokens: 100, bytes: 300 };
    let mut rows = Rows::new();
    rows.set(VALIDATION_LOSS, vec![row(0.5), row(1.5)]);
    rows
}

struct PaperTraining {
    step: u64,
    end: u64,
    weights: Vec<u8>,
    fate: Option<Fate>,
    reins: Reins,
}

impl Training for PaperTraining {
    fn step(&self) -> u64 {
        self.step
    }

    fn is_finished(&self) -> bool {
        self.step >= self.end
    }

    fn next_step(&mut self) -> Result<StepReport, TrainingError> {
        self.reins.before(self.step);
        let step = self.step;
        let loss = match self.fate {
            Some(Fate::PanicsAt(at)) if at == step => panic!("a bug at step {step}"),
            Some(Fate::DivergesAt(at)) if at == step => f64::NAN,
            Some(Fate::RunsAwayAt(at)) if at <= step => 99.0,
            _ => loss_at(step),
        };
        self.weights = weights_after(step..step + 1, Some(&self.weights));
        self.step += 1;
        if self.is_finished() {
            self.reins.next.send_replace(self.step);
        }
        Ok(StepReport {
            step,
            loss,
            grad_norm: 1.0,
            learning_rate: 0.01,
            tokens: 1024,
            measurements: Measurements::new(),
        })
    }

    fn validate(&mut self) -> Result<Measured, TrainingError> {
        Ok(validation(loss_at(self.step)))
    }

    fn snapshot(&mut self) -> Result<PendingBlobs, TrainingError> {
        let (weights, step, fate) = (self.weights.clone(), self.step, self.fate);
        Ok(Box::new(move || {
            if matches!(fate, Some(Fate::LosesItsCheckpoints)) {
                return Err("the device is gone".into());
            }
            if matches!(fate, Some(Fate::PanicsInItsCheckpoints)) {
                panic!("a bug beside the training");
            }
            let optimizer = format!("moments after {step} steps").into_bytes();
            Ok(vec![
                Blob { name: WEIGHTS.to_owned(), bytes: weights },
                Blob { name: OPTIMIZER.to_owned(), bytes: optimizer },
            ])
        }))
    }
}
