//! Whether a spec can be trained at all. Everything that is read passes this, so nobody behind it checks again.

use super::StageSpec;
use crate::batch::Batch;
use crate::model::{ModelSpec, TensorProgram};
use crate::optimizer::AdamW;
use crate::schedule::{DecayShape, LrSchedule};
use crate::shape::Shape;
use crate::surgery::Surgery;

/// Why a text is not a stage spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It is not JSON, lacks a field, or has one that this version does not know.
    #[error("{0}")]
    Json(String),
    /// A value that nothing can be trained with.
    #[error("{field}: {problem}")]
    Field {
        /// The field's path in the JSON, for example `model.shape.n_heads`.
        field: &'static str,
        /// What is wrong with it.
        problem: SpecProblem,
    },
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblem {
    /// It is infinite or NaN.
    #[error("is not a finite number")]
    NotFinite,
    /// It is zero or negative.
    #[error("has to be above zero")]
    NotPositive,
    /// It does not fit the values around it.
    #[error("{0}")]
    Conflict(&'static str),
}

impl SpecError {
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

pub(crate) type Checked = Result<(), SpecError>;

fn refuse(field: &'static str, problem: SpecProblem) -> Checked {
    Err(SpecError::Field { field, problem })
}

fn demand(field: &'static str, holds: bool, otherwise: &'static str) -> Checked {
    if holds { Ok(()) } else { refuse(field, SpecProblem::Conflict(otherwise)) }
}

pub(crate) fn positive(field: &'static str, value: impl Into<u64>) -> Checked {
    if value.into() == 0 { refuse(field, SpecProblem::NotPositive) } else { Ok(()) }
}

fn finite(field: &'static str, value: f64) -> Checked {
    if value.is_finite() { Ok(()) } else { refuse(field, SpecProblem::NotFinite) }
}

fn positive_number(field: &'static str, value: f64) -> Checked {
    finite(field, value)?;
    if value > 0.0 { Ok(()) } else { refuse(field, SpecProblem::NotPositive) }
}

impl StageSpec {
    /// Whether a trainer can do its arithmetic with these values.
    ///
    /// # Errors
    /// The first value that cannot be right, by its path in the canonical form.
    pub fn check(&self) -> Result<(), SpecError> {
        check_model(&self.model)?;
        check_batch(&self.batch)?;
        demand("end_step", self.steps.start < self.steps.end, "has to be above start_step")?;
        let tokens = self.steps.end.checked_mul(self.batch.tokens());
        demand("end_step", tokens.is_some(), "is so many steps that their tokens cannot be counted")?;
        check_schedule(&self.schedule)?;
        positive_number("peak_lr", self.peak_lr)?;
        check_optimizer(&self.optimizer)?;
        if let Some(limit) = self.loss_limit {
            positive_number("loss_limit", limit)?;
        }
        let is_whole = self.data.mixture.is_none_or(|mixture| mixture.is_whole());
        demand("mixture.weights", is_whole, "do not add up to the whole")?;
        self.check_surgery()
    }

    /// Only a checkpoint can be operated on, and the model has to be one that the surgeries lead to. Whether they lead to
    /// it from the parent's model is for a plan to say, which has the parent.
    fn check_surgery(&self) -> Checked {
        let surgery = &self.start.surgery;
        let has_parent = self.steps.start > 0;
        demand(
            "surgery",
            surgery.is_empty() || has_parent,
            "needs a parent's checkpoint, and the stage has no parent",
        )?;
        let unties = surgery.iter().filter(|surgery| matches!(surgery, Surgery::Untie)).count();
        demand("surgery", unties <= 1, "unties a head that is untied already")?;
        demand("surgery", unties == 0 || !self.model.tied, "unties the head of a model whose head is tied")
    }
}

pub(crate) fn check_model(model: &ModelSpec) -> Checked {
    let ModelSpec { shape, vocab, tied: _, tensor_program, rope_theta, norm_eps } = model;
    let Shape { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers } = *shape;
    positive("model.shape.d_model", d_model)?;
    positive("model.shape.d_ff", d_ff)?;
    positive("model.shape.head_dim", head_dim)?;
    positive("model.shape.n_heads", n_heads)?;
    positive("model.shape.n_kv_heads", n_kv_heads)?;
    positive("model.shape.n_layers", n_layers)?;
    demand("model.shape.n_kv_heads", n_heads.is_multiple_of(n_kv_heads), "has to divide n_heads")?;
    positive("model.vocab", *vocab)?;
    let TensorProgram { scale_emb, scale_depth, init_std, d_base } = *tensor_program;
    finite("model.tensor_program.scale_emb", scale_emb)?;
    finite("model.tensor_program.scale_depth", scale_depth)?;
    finite("model.tensor_program.init_std", init_std)?;
    positive("model.tensor_program.d_base", d_base)?;
    positive_number("model.rope_theta", *rope_theta)?;
    finite("model.norm_eps", *norm_eps)
}

fn check_batch(batch: &Batch) -> Checked {
    let Batch { sequences, context, micro_sequences, lanes } = *batch;
    positive("batch.sequences", sequences)?;
    positive("batch.context", context)?;
    positive("batch.micro_sequences", micro_sequences)?;
    demand("batch.micro_sequences", sequences.is_multiple_of(micro_sequences), "has to divide sequences")?;
    positive("batch.lanes", lanes)?;
    demand("batch.lanes", lanes <= batch.passes(), "cannot exceed sequences / micro_sequences")
}

fn check_optimizer(optimizer: &AdamW) -> Checked {
    let AdamW { beta1, beta2, eps, weight_decay, clip_norm } = *optimizer;
    finite("optimizer.beta1", beta1)?;
    finite("optimizer.beta2", beta2)?;
    finite("optimizer.eps", eps)?;
    finite("optimizer.weight_decay", weight_decay)?;
    positive_number("optimizer.clip_norm", clip_norm)
}

/// Whether the schedule's arithmetic is defined at every step.
fn check_schedule(schedule: &LrSchedule) -> Checked {
    match *schedule {
        LrSchedule::Constant { .. } => Ok(()),
        LrSchedule::Wsd { decay_steps, decay, floor, .. } => {
            positive("schedule.decay_steps", decay_steps)?;
            if let DecayShape::HalfLife { half_life_steps } = decay {
                positive("schedule.decay.half_life_steps", half_life_steps)?;
            }
            finite("schedule.floor", floor)
        }
        LrSchedule::Cosine { warmup_steps, period_steps, floor }
        | LrSchedule::CosineLoop { warmup_steps, period_steps, floor } => {
            demand("schedule.period_steps", period_steps > warmup_steps, "has to be above warmup_steps")?;
            finite("schedule.floor", floor)
        }
    }
}
