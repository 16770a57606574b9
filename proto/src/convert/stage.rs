//! Stages and their specs.

use vocabulary::{Batch, DataSpec, Objective, Stage, StageRole, StageSpec, StartSpec};

use super::{ConvertError, Problem, dynamics, id, model, optional_id, positive_number, required};
use crate::v1;

impl From<&StageSpec> for v1::StageSpec {
    fn from(spec: &StageSpec) -> Self {
        Self {
            model: Some((&spec.model).into()),
            init_seed: spec.start.init_seed,
            data: spec.data.dataset.to_string(),
            order_seed: spec.data.order_seed,
            start_step: spec.steps.start,
            end_step: spec.steps.end,
            schedule: Some((&spec.schedule).into()),
            peak_lr: spec.peak_lr,
            batch: Some((&spec.batch).into()),
            optimizer: Some((&spec.optimizer).into()),
            precision: v1::Precision::from(spec.precision).into(),
            validation_tokens: spec.validation_tokens,
            numerics_version: spec.numerics_version,
            loss_limit: spec.loss_limit,
            recording: spec.recording.map(|recording| v1::Recording::from(recording).into()),
            mixture: spec.data.mixture.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::StageSpec> for StageSpec {
    type Error = ConvertError;

    fn try_from(spec: v1::StageSpec) -> Result<Self, ConvertError> {
        if spec.end_step <= spec.start_step {
            return Err(ConvertError::new("end_step", Problem::Range { reason: "has to be above start_step" }));
        }
        let batch: Batch = required("batch", spec.batch)?;
        let tokens_a_step = u64::from(batch.sequences) * u64::from(batch.context);
        if spec.end_step.checked_mul(tokens_a_step).is_none() {
            let reason = "is so many steps that their tokens cannot be counted";
            return Err(ConvertError::new("end_step", Problem::Range { reason }));
        }
        Ok(Self {
            model: required("model", spec.model)?,
            start: StartSpec::of_seed(spec.init_seed),
            data: DataSpec {
                dataset: id("data", &spec.data)?,
                order_seed: spec.order_seed,
                mixture: spec.mixture.map(|mixture| required("mixture", Some(mixture))).transpose()?,
            },
            objective: Objective::default(),
            steps: spec.start_step..spec.end_step,
            schedule: required("schedule", spec.schedule)?,
            peak_lr: positive_number("peak_lr", spec.peak_lr)?,
            batch,
            optimizer: required("optimizer", spec.optimizer)?,
            precision: model::precision("precision", spec.precision)?,
            validation_tokens: spec.validation_tokens,
            loss_limit: spec.loss_limit.map(|limit| positive_number("loss_limit", limit)).transpose()?,
            recording: spec.recording.map(|value| dynamics::recording("recording", value)).transpose()?,
            numerics_version: spec.numerics_version,
        })
    }
}

impl From<StageRole> for v1::StageRole {
    fn from(role: StageRole) -> Self {
        match role {
            StageRole::Trunk => Self::Trunk,
            StageRole::Decay => Self::Decay,
            StageRole::Whole => Self::Whole,
        }
    }
}

fn role(field: &str, value: i32) -> Result<StageRole, ConvertError> {
    match v1::StageRole::try_from(value) {
        Ok(v1::StageRole::Trunk) => Ok(StageRole::Trunk),
        Ok(v1::StageRole::Decay) => Ok(StageRole::Decay),
        Ok(v1::StageRole::Whole) => Ok(StageRole::Whole),
        Ok(v1::StageRole::Unspecified) => Err(ConvertError::new(field, Problem::Missing)),
        Err(_) => Err(ConvertError::new(field, Problem::Enum { of: "StageRole", value })),
    }
}

impl From<&Stage> for v1::Stage {
    fn from(stage: &Stage) -> Self {
        Self {
            key: stage.key.to_string(),
            parent: stage.parent.map(|parent| parent.to_string()),
            spec: Some((&stage.spec).into()),
            role: v1::StageRole::from(stage.role).into(),
            size: stage.size.clone(),
            seed: stage.seed,
        }
    }
}

impl TryFrom<v1::Stage> for Stage {
    type Error = ConvertError;

    /// The key is derived again: a spec that was altered on the way, or that the other side reads in another way, would
    /// be trained under a name that is not its own.
    fn try_from(stage: v1::Stage) -> Result<Self, ConvertError> {
        let key = id("key", &stage.key)?;
        let parent = optional_id("parent", stage.parent.as_deref())?;
        let spec: StageSpec = required("spec", stage.spec)?;
        let derived = spec.key(parent.as_ref());
        if derived != key {
            return Err(ConvertError::new("key", Problem::Key { derived }));
        }
        Ok(Self { key, parent, spec, role: role("role", stage.role)?, size: stage.size, seed: stage.seed })
    }
}
