//! What a stage trains: a composition of model, start, data, objective, schedule and what else decides its numbers.
//!
//! A spec is written down as JSON ([`StageSpec::to_json`]) and its key is a hash of those bytes. The form is flat, older
//! than the composition, and fixed: `form` has it, and whatever is read passes `check`.

mod check;
mod form;
#[cfg(test)]
mod tests;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use check::{SpecError, SpecProblem};
pub(crate) use check::{check_model, positive};

use crate::batch::Batch;
use crate::data::DataSpec;
use crate::dynamics::Recording;
use crate::id::StageKey;
use crate::model::ModelSpec;
use crate::objective::Objective;
use crate::optimizer::AdamW;
use crate::precision::Precision;
use crate::schedule::LrSchedule;
use crate::start::StartSpec;
use crate::units::{Flops, Tokens};

/// Raised whenever the trainer's arithmetic changes, so that no result of the old one is taken for one of the new.
pub const NUMERICS_VERSION: u32 = 2;

/// Everything that decides the numbers of a stage, apart from its parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "form::Form", into = "form::Form")]
pub struct StageSpec {
    /// The model that is trained: the parent's after surgery.
    pub model: ModelSpec,
    /// Where its weights come from.
    pub start: StartSpec,
    /// What it trains on.
    pub data: DataSpec,
    /// What it minimises.
    pub objective: Objective,
    /// Its steps, counted from the root.
    pub steps: Range<u64>,
    /// The learning rate as a fraction of `peak_lr`, in its simplest form over these steps.
    pub schedule: LrSchedule,
    /// Peak learning rate, eta in the paper.
    pub peak_lr: f64,
    /// What a step consumes.
    pub batch: Batch,
    /// How weights are updated.
    pub optimizer: AdamW,
    /// The number format.
    pub precision: Precision,
    /// Held-out tokens that the loss at the end of the stage is measured on.
    pub validation_tokens: u64,
    /// The loss of a step, in nats a token, above which the stage has diverged and ends. Without a limit only a loss that
    /// is infinite or NaN ends it.
    pub loss_limit: Option<f64>,
    /// What it records beside its losses. A stage that records has a key of its own, although its numbers are those of one
    /// that does not: a campaign that asks for the record trains again what was trained without it.
    pub recording: Option<Recording>,
    /// [`NUMERICS_VERSION`] of the trainer that runs it.
    pub numerics_version: u32,
}

impl StageSpec {
    /// The canonical form: the JSON that [`StageSpec::key`] hashes, and that specs travel and are stored in. Fields have a
    /// fixed order, those that are at their default and were added later are left out, and floats have their shortest
    /// exact form, so that equal specs have equal bytes.
    ///
    /// # Panics
    /// Never: every spec has a JSON form. One with an infinite or NaN float, which [`StageSpec::check`] refuses, has one
    /// that cannot be read back.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a stage spec always has a JSON form")
    }

    /// Reads the canonical form.
    ///
    /// # Errors
    /// If the text is not a spec, has a field that this version does not know, or fails [`StageSpec::check`].
    pub fn from_json(json: &[u8]) -> Result<Self, SpecError> {
        let form: form::Form = serde_json::from_slice(json).map_err(|error| SpecError::json(&error))?;
        Self::try_from(form)
    }

    /// The stage's permanent name: a hash of its canonical form and of the parent's key.
    #[must_use]
    pub fn key(&self, parent: Option<&StageKey>) -> StageKey {
        let mut content = parent.map_or_else(|| vec![0], |key| [&[1], key.as_bytes().as_slice()].concat());
        content.extend_from_slice(&self.to_json());
        StageKey::from_content(&content)
    }

    /// Tokens it trains on.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens((self.steps.end - self.steps.start) * self.batch.tokens())
    }

    /// Operations it costs, validation left out.
    #[must_use]
    pub fn flops(&self) -> Flops {
        let per_token = self.model.shape.training_flops_per_token(self.model.vocab, self.batch.context);
        Flops(per_token.0 * self.tokens().0 as f64)
    }

    /// Whether a step with this loss is the last one. It depends on that one step alone, so a run that is resumed ends
    /// where the undisturbed one does.
    #[must_use]
    pub fn diverges_with(&self, loss: f64) -> bool {
        !loss.is_finite() || self.loss_limit.is_some_and(|limit| loss > limit)
    }

    /// The learning rate of a step, before the multiplier of a parameter group.
    #[must_use]
    pub fn learning_rate(&self, step: u64) -> f64 {
        self.peak_lr * self.schedule.factor(step)
    }
}
