//! How a spec is written down.

use serde::{Deserialize, Serialize};

use super::{SpecError, StageSpec};
use crate::batch::Batch;
use crate::data::DataSpec;
use crate::dynamics::Recording;
use crate::id::DatasetId;
use crate::mixture::Mixture;
use crate::model::ModelSpec;
use crate::objective::Objective;
use crate::optimizer::AdamW;
use crate::precision::Precision;
use crate::schedule::LrSchedule;
use crate::start::StartSpec;
use crate::surgery::Surgery;

/// The fields of a spec, flat and in the order in which they are hashed.
///
/// Keys, logs and checkpoints of every campaign hold these bytes, so a field is never renamed, moved or removed. A new one
/// goes above `numerics_version` and is left out at its default, so that specs that do not use it keep their bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    model: ModelSpec,
    init_seed: u64,
    data: DatasetId,
    order_seed: u64,
    start_step: u64,
    end_step: u64,
    schedule: LrSchedule,
    peak_lr: f64,
    batch: Batch,
    optimizer: AdamW,
    precision: Precision,
    validation_tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss_limit: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recording: Option<Recording>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mixture: Option<Mixture>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    surgery: Vec<Surgery>,
    #[serde(default, skip_serializing_if = "Objective::is_default")]
    objective: Objective,
    numerics_version: u32,
}

impl From<StageSpec> for Form {
    fn from(spec: StageSpec) -> Self {
        let StageSpec { model, start, data, objective, steps, schedule, peak_lr, batch, optimizer, precision, .. } =
            spec;
        let StartSpec { init_seed, surgery } = start;
        let DataSpec { dataset, order_seed, mixture } = data;
        Self {
            model,
            init_seed,
            data: dataset,
            order_seed,
            start_step: steps.start,
            end_step: steps.end,
            schedule,
            peak_lr,
            batch,
            optimizer,
            precision,
            validation_tokens: spec.validation_tokens,
            loss_limit: spec.loss_limit,
            recording: spec.recording,
            mixture,
            surgery,
            objective,
            numerics_version: spec.numerics_version,
        }
    }
}

impl TryFrom<Form> for StageSpec {
    type Error = SpecError;

    fn try_from(form: Form) -> Result<Self, SpecError> {
        let Form { model, init_seed, data, order_seed, schedule, peak_lr, batch, optimizer, precision, .. } = form;
        let spec = Self {
            model,
            start: StartSpec { init_seed, surgery: form.surgery },
            data: DataSpec { dataset: data, order_seed, mixture: form.mixture },
            objective: form.objective,
            steps: form.start_step..form.end_step,
            schedule,
            peak_lr,
            batch,
            optimizer,
            precision,
            validation_tokens: form.validation_tokens,
            loss_limit: form.loss_limit,
            recording: form.recording,
            numerics_version: form.numerics_version,
        };
        spec.check()?;
        Ok(spec)
    }
}
