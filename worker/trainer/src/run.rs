//! A stage in training.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;
use corpus::{BatchError, OpenDataset};
use minicpm::{Activations, Compute, MiniCpm, MiniCpmConfig};
use serde_json::Value;
use vocabulary::memory::TrainingMemory;
use vocabulary::mixture::Turns;
use vocabulary::{DatasetId, Measurements, ModelSpec, NUMERICS_VERSION, Precision, Recording, StageSpec};

use crate::fit::{FitError, fitting, with_weights};
use crate::held_out::Measured;
use crate::objective::{Replica, Step};
use crate::optimizer::Optimizer;
use crate::parameters::{Path, Read, ReadGradients, shapes};
use crate::recorder::Recorder;
use crate::snapshot::{Description, FIRST_MOMENT, HostTensor, SECOND_MOMENT, Snapshot};
use crate::surgery::{OperationError, operate};
use crate::validation::Validation;

/// A stage in training: its model, its optimiser, and the step that comes next.
#[derive(Debug)]
pub struct StageRun {
    spec: StageSpec,
    data: Arc<OpenDataset>,
    /// The order in which domains take turns, where the data has several.
    turns: Option<Turns>,
    compute: Compute,
    device: Device,
    /// Whether activations are kept or recomputed; both give the same bits.
    activations: Activations,
    /// Absent only while a step has it.
    model: Option<MiniCpm>,
    /// The devices that compute gradients beside the first.
    replicas: Vec<Replica>,
    optimizer: Optimizer,
    /// Present if the stage records dynamics.
    recorder: Option<Recorder>,
    step: u64,
}

/// Where a run starts.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// From the initial weights of the spec's seed.
    Initial,
    /// From the last checkpoint of the stage's parent, after the surgeries of the spec.
    Parent(&'a Snapshot),
    /// From a checkpoint of the stage itself.
    Own(&'a Snapshot),
}

impl Origin<'_> {
    /// Checks that a stage of these steps starts from here.
    fn check(self, steps: &Range<u64>) -> Result<(), StartError> {
        let &Range { start, end } = steps;
        match self {
            Self::Initial if start > 0 => Err(StartError::NoParent { start }),
            Self::Parent(Snapshot { step, .. }) if *step != start => Err(StartError::Step { found: *step, start, end }),
            Self::Own(Snapshot { step, .. }) if !(start..=end).contains(step) => {
                Err(StartError::Step { found: *step, start, end })
            }
            _ => Ok(()),
        }
    }
}

/// The measurements of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step, counted from the root.
    pub step: u64,
    /// Mean next-token loss over the batch before the update, in nats a token. Infinite or NaN where training diverged.
    pub loss: f64,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
    /// The schedule's learning rate, before the multiplier of a parameter group.
    pub learning_rate: f64,
    /// Tokens trained on.
    pub tokens: u64,
    /// What else was measured, if the stage records; empty otherwise.
    pub measurements: Measurements,
}

/// Why a stage cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The dataset is not the spec's.
    #[error("dataset: expected {expected}, found {found}")]
    Dataset {
        /// The spec's dataset.
        expected: DatasetId,
        /// The dataset given.
        found: DatasetId,
    },
    /// The model's vocabulary is not the tokenizer's.
    #[error("vocabulary: the model has {model} entries, the data {data}")]
    Vocabulary {
        /// Entries of the model's embedding.
        model: u32,
        /// Entries of the data's tokenizer.
        data: u32,
    },
    /// The spec was made for another version of the trainer's arithmetic.
    #[error("planned for version {planned} of the trainer's arithmetic; this is version {NUMERICS_VERSION}")]
    Numerics {
        /// The spec's version.
        planned: u32,
    },
    /// The device does not support the spec's number format.
    #[error("{compute} cannot compute in {precision}, which the stage requires: use another device, or another recipe")]
    Precision {
        /// The device.
        compute: String,
        /// The spec's number format.
        precision: Precision,
    },
    /// The stage cannot start from a checkpoint of this step.
    #[error("a stage of steps {start} to {end} cannot start from a checkpoint after step {found}")]
    Step {
        /// The checkpoint's step.
        found: u64,
        /// The stage's first step.
        start: u64,
        /// One past the stage's last step.
        end: u64,
    },
    /// Only a stage that begins at step 0 starts from initial weights.
    #[error("a stage that begins at step {start} cannot start from initial weights")]
    NoParent {
        /// The stage's first step.
        start: u64,
    },
    /// The checkpoint holds another model.
    #[error("the checkpoint holds another model than the stage trains: {difference}")]
    Model {
        /// Each number that differs, by its path.
        difference: String,
    },
    /// The parent's checkpoint cannot be operated on.
    #[error(transparent)]
    Surgery(#[from] OperationError),
    /// The checkpoint's tensors do not fit the model.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The data cannot serve a batch of the spec.
    #[error("the data cannot serve the batches that are asked for")]
    Batch(#[source] BatchError),
}

/// Why a step or a validation failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Every step is done.
    #[error("the stage ended with step {end}")]
    Finished {
        /// One past the last.
        end: u64,
    },
    /// A batch could not be read.
    #[error("cannot read a batch")]
    Batch(#[source] BatchError),
}

impl StageRun {
    /// A stage, ready for its next step.
    pub fn new(
        spec: &StageSpec,
        data: Arc<OpenDataset>,
        compute: &Compute,
        origin: Origin<'_>,
    ) -> Result<Self, StartError> {
        check(spec, &data, compute)?;
        let device = compute.device();
        let config = MiniCpmConfig { spec: spec.model, context: spec.batch.context as usize };
        let mut optimizer = Optimizer::new(spec.optimizer, &spec.model);
        origin.check(&spec.steps)?;
        let initial = compute.install(|| config.init(spec.start.init_seed, &device));
        let operated;
        let snapshot = match origin {
            Origin::Initial => None,
            Origin::Own(snapshot) => Some(snapshot),
            Origin::Parent(parent) if spec.start.surgery.is_empty() => Some(parent),
            Origin::Parent(parent) => {
                operated = operate(&spec.start.surgery, parent)?;
                Some(&operated)
            }
        };
        let (model, step) = match snapshot {
            None => (initial, spec.steps.start),
            Some(snapshot) => {
                if let Some(description) = &snapshot.description {
                    check_model(&description.model, &spec.model)?;
                }
                let restored = compute.install(|| restore(initial, &mut optimizer, snapshot, &device));
                (restored?, snapshot.step)
            }
        };
        let model = model.with_precision(spec.precision);
        let mut recorder = spec.recording.map(|Recording::Dynamics| compute.install(|| Recorder::new(&model)));
        if let (Some(recorder), Some(snapshot)) = (&mut recorder, snapshot) {
            recorder.restore(&snapshot.recorded)?;
        }
        let memory = TrainingMemory::of(spec);
        let activations = match compute.memory() {
            Some(bytes) if bytes < memory.kept() => Activations::Recomputed,
            _ => Activations::Kept,
        };
        // A device without a group of its own would only wait.
        let useful = if spec.batch.lanes > 1 { spec.batch.lanes } else { spec.batch.passes() } as usize - 1;
        let replicas = compute.others().iter().take(useful).map(|other| Replica::new(other, spec)).collect();
        let compute = compute.clone();
        let turns = spec.data.mixture.map(|mixture| mixture.turns());
        Ok(Self {
            spec: spec.clone(),
            data,
            turns,
            compute,
            device,
            activations,
            model: Some(model),
            replicas,
            optimizer,
            recorder,
            step,
        })
    }

    /// The step that comes next, counted from the root.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Whether no step is left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.step >= self.spec.steps.end
    }

    /// Trains one step.
    ///
    /// A loss that is infinite or NaN is reported like any other; acting on it is up to the caller.
    pub fn next_step(&mut self) -> Result<StepReport, StepError> {
        if self.is_finished() {
            return Err(StepError::Finished { end: self.spec.steps.end });
        }
        let step = self.step;
        let batch = batch(&self.data, &self.spec, self.turns.as_ref(), step).map_err(StepError::Batch)?;
        let learning_rate = self.spec.learning_rate(step);
        let model = self.model.take().expect("only a step takes the model, and it puts it back");
        let Self { compute, device, activations, optimizer, recorder, spec, replicas, .. } = self;
        let shape = spec.batch;
        let differentiated = Step { objective: &spec.objective, batch: &batch, shape, activations: *activations };
        let (model, loss, grad_norm, measurements) = compute.install(|| {
            let (gradients, loss) = differentiated.gradients(&model, device, replicas);
            let measured = recorder.as_mut().map(|recorder| recorder.before_update(&model, &gradients));
            let (model, grad_norm) = optimizer.step(model, gradients, learning_rate, step);
            let recorded = recorder.as_mut().zip(measured);
            let measurements = recorded.map(|(recorder, measured)| recorder.after_update(&model, measured));
            (model, loss, grad_norm, measurements.unwrap_or_default())
        });
        self.model = Some(model);
        self.step += 1;
        Ok(StepReport { step, loss, grad_norm, learning_rate, tokens: self.spec.batch.tokens(), measurements })
    }

    /// The gradients of the next step before clipping, by parameter name. Changes nothing.
    pub fn gradients(&self) -> Result<BTreeMap<String, HostTensor>, StepError> {
        if self.is_finished() {
            return Err(StepError::Finished { end: self.spec.steps.end });
        }
        let batch = batch(&self.data, &self.spec, self.turns.as_ref(), self.step).map_err(StepError::Batch)?;
        let (shape, activations) = (self.spec.batch, self.activations);
        let differentiated = Step { objective: &self.spec.objective, batch: &batch, shape, activations };
        Ok(self.compute.install(|| {
            let (gradients, _) = differentiated.gradients(self.model(), &self.device, &mut []);
            let mut named = BTreeMap::new();
            let receive = |name, shape, values| {
                named.insert(name, HostTensor { shape, values });
            };
            self.model().visit(&mut ReadGradients { path: Path::default(), gradients: &gradients, receive });
            named
        }))
    }

    /// Measures the next-token loss on the held-out tokens, separately for each domain. Changes nothing.
    pub fn validate(&self) -> Result<Validation, StepError> {
        let model = self.compute.install(|| self.model().valid());
        let device = self.device.clone().inner();
        let measured = Measured { model: &model, compute: &self.compute, device: &device };
        let (tokens, context) = (self.spec.validation_tokens, self.spec.batch.context);
        let validation = measured.held_out_loss(&self.data, tokens, context, &mut || true);
        Ok(validation.map_err(StepError::Batch)?.expect("nobody stops it"))
    }

    /// Everything needed to resume from here, copied to the host.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.compute.install(|| self.read())
    }

    /// Runs on the device with the model as it is, outside any graph.
    pub(crate) fn with_model<R: Send>(&self, work: impl FnOnce(&MiniCpm, &Device) -> R + Send) -> R {
        let device = self.device.clone().inner();
        self.compute.install(|| work(&self.model().valid(), &device))
    }

    fn read(&self) -> Snapshot {
        let mut weights = BTreeMap::new();
        let receive = |name, shape, values| {
            weights.insert(name, HostTensor { shape, values });
        };
        self.model().visit(&mut Read { path: Path::default(), receive });
        let mut moments = BTreeMap::new();
        for (name, first, second) in self.optimizer.state() {
            for (suffix, values) in [(FIRST_MOMENT, first), (SECOND_MOMENT, second)] {
                moments.insert(format!("{name}{suffix}"), HostTensor { shape: vec![values.len()], values });
            }
        }
        let spec = &self.spec;
        let description =
            Description { model: spec.model, dataset: Some(spec.data.dataset), context: spec.batch.context };
        let recorded = self.recorder.as_ref().map(Recorder::state).unwrap_or_default();
        Snapshot { step: self.step, description: Some(description), weights, optimizer: moments, recorded }
    }

    fn model(&self) -> &MiniCpm {
        self.model.as_ref().expect("only a step takes the model, and it puts it back")
    }
}

/// What data and device have to serve, be it to train or to evaluate.
pub(crate) struct Setting<'a> {
    pub(crate) dataset: DatasetId,
    pub(crate) model: &'a ModelSpec,
    pub(crate) precision: Precision,
    pub(crate) numerics_version: u32,
}

impl Setting<'_> {
    pub(crate) fn check(&self, data: &OpenDataset, compute: &Compute) -> Result<(), StartError> {
        let dataset = data.dataset();
        if dataset.id != self.dataset {
            return Err(StartError::Dataset { expected: self.dataset, found: dataset.id });
        }
        if dataset.vocab != self.model.vocab {
            return Err(StartError::Vocabulary { model: self.model.vocab, data: dataset.vocab });
        }
        if self.numerics_version != NUMERICS_VERSION {
            return Err(StartError::Numerics { planned: self.numerics_version });
        }
        if !compute.supports(self.precision) {
            return Err(StartError::Precision { compute: compute.to_string(), precision: self.precision });
        }
        Ok(())
    }
}

fn check(spec: &StageSpec, data: &OpenDataset, compute: &Compute) -> Result<(), StartError> {
    let (dataset, model, precision) = (spec.data.dataset, &spec.model, spec.precision);
    Setting { dataset, model, precision, numerics_version: spec.numerics_version }.check(data, compute)?;
    data.validation_sets(spec.validation_tokens, spec.batch.context).map_err(StartError::Batch)?;
    let turns = spec.data.mixture.map(|mixture| mixture.turns());
    batch(data, spec, turns.as_ref(), spec.steps.start).map_err(StartError::Batch)?;
    Ok(())
}

/// The batch of a step.
fn batch(data: &OpenDataset, spec: &StageSpec, turns: Option<&Turns>, step: u64) -> Result<corpus::Batch, BatchError> {
    match turns {
        Some(turns) => data.mixed_batch(spec.data.order_seed, step, &spec.batch, turns),
        None => data.train_batch(spec.data.order_seed, step, &spec.batch),
    }
}

/// Checks that a checkpoint's model is the stage's.
pub(crate) fn check_model(found: &ModelSpec, expected: &ModelSpec) -> Result<(), StartError> {
    if found == expected {
        return Ok(());
    }
    let json = |model| serde_json::to_value(model).expect("a model always has a JSON form");
    let mut differences = Vec::new();
    differences_of("", &json(found), &json(expected), &mut differences);
    Err(StartError::Model { difference: differences.join("; ") })
}

/// Each number in which two descriptions of a model differ, by its path.
fn differences_of(path: &str, found: &Value, expected: &Value, into: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, found) in found {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differences_of(&path, found, &expected[key], into);
            }
        }
        _ if found == expected => {}
        _ => into.push(format!("{path}: expected {expected}, found {found}")),
    }
}

/// Loads a checkpoint's weights and moments.
fn restore(
    model: MiniCpm,
    optimizer: &mut Optimizer,
    snapshot: &Snapshot,
    device: &Device,
) -> Result<MiniCpm, StartError> {
    let parameters = shapes(&model);
    let model = with_weights(model, snapshot)?;
    // A checkpoint from before the first step has no moments yet.
    if snapshot.step > 0 {
        for (name, shape) in &parameters {
            let count = [shape.iter().product::<usize>()];
            let first = fitting(&snapshot.optimizer, format!("{name}{FIRST_MOMENT}"), &count)?;
            let second = fitting(&snapshot.optimizer, format!("{name}{SECOND_MOMENT}"), &count)?;
            optimizer.restore(name.clone(), first.to_vec(), second.to_vec(), device);
        }
    }
    Ok(model)
}
