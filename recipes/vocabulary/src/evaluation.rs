//! Evaluations: what is measured on the last checkpoint of a stage once it is trained, and the key that names one forever.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{DatasetId, StageKey};
use crate::model::ModelSpec;
use crate::precision::Precision;
use crate::spec::{SpecError, check_model, positive};
use crate::units::{Flops, Tokens};

/// The work of a forward pass as a share of the work of training on the same tokens.
pub const FORWARD_SHARE: f64 = 1.0 / 3.0;

/// A kind of measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationKind {
    /// The mean loss over the text, and over each of its domains if it has several.
    #[default]
    HeldOutLoss,
}

impl EvaluationKind {
    /// Every kind that this version can measure.
    pub const ALL: [Self; 1] = [Self::HeldOutLoss];

    /// Its name, as specs have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HeldOutLoss => "held_out_loss",
        }
    }

    /// The kind of a name, where this version knows it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for EvaluationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an evaluation measures: a kind of measurement, on the beginning of a dataset's held-out text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationTask {
    /// The measurement.
    pub kind: EvaluationKind,
    /// The text.
    pub dataset: DatasetId,
    /// How many tokens of it, of each domain.
    pub tokens: u64,
    /// Tokens of a sequence.
    pub context: u32,
}

/// Everything that decides the numbers of an evaluation, apart from the stage it evaluates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSpec {
    /// The model of the checkpoint.
    pub model: ModelSpec,
    /// What is measured.
    pub task: EvaluationTask,
    /// The number format of activations.
    pub precision: Precision,
    /// [`NUMERICS_VERSION`](crate::NUMERICS_VERSION) of the worker that computes it.
    pub numerics_version: u32,
}

/// A node of the stage tree that measures the last checkpoint of a stage and leaves none of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Its key, of the same kind as a stage's.
    pub key: StageKey,
    /// The stage whose last checkpoint it evaluates.
    pub parent: StageKey,
    /// What it measures.
    pub spec: EvaluationSpec,
    /// What the results are called: the name of the text. It decides nothing and is not in the key.
    pub name: String,
    /// The size of the stage it evaluates, as the recipe names it.
    pub size: String,
    /// The seed of the stage it evaluates, as the recipe numbers it.
    pub seed: u64,
}

impl EvaluationTask {
    /// All of it but the context, which is that of the stage: what evaluations of one name have in common.
    #[must_use]
    pub fn subject(&self) -> (EvaluationKind, DatasetId, u64) {
        (self.kind, self.dataset, self.tokens)
    }
}

impl EvaluationSpec {
    /// The evaluation's name forever: a hash of this spec and of the key of the stage it evaluates.
    ///
    /// What is hashed begins with a byte that no training spec's hash begins with ([`StageSpec::key`](crate::StageSpec::key)),
    /// so the two kinds never share a key.
    #[must_use]
    pub fn key(&self, parent: &StageKey) -> StageKey {
        StageKey::from_content(&[&[2], parent.as_bytes().as_slice(), &self.to_json()].concat())
    }

    /// The canonical form: the bytes that the key hashes.
    ///
    /// # Panics
    /// Never: every spec has a JSON form.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an evaluation spec always has a JSON form")
    }

    /// Reads the canonical form.
    ///
    /// # Errors
    /// If it is not a spec, has a field that this version does not know, or a value that nothing can be computed with.
    pub fn from_json(json: &[u8]) -> Result<Self, SpecError> {
        let spec: Self = serde_json::from_slice(json).map_err(|error| SpecError::Json(error.to_string()))?;
        spec.check()?;
        Ok(spec)
    }

    /// Whether a worker can do its arithmetic with these values.
    ///
    /// # Errors
    /// The first value that cannot be right, by its path in the canonical form.
    pub fn check(&self) -> Result<(), SpecError> {
        check_model(&self.model)?;
        positive("task.tokens", self.task.tokens)?;
        positive("task.context", self.task.context)
    }

    /// Tokens it predicts. Of a dataset with domains, of one of them.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens(self.task.tokens)
    }

    /// Operations it costs.
    #[must_use]
    pub fn flops(&self) -> Flops {
        let EvaluationTask { tokens, context, .. } = self.task;
        let per_token = self.model.shape.training_flops_per_token(self.model.vocab, context);
        Flops(FORWARD_SHARE * per_token.0 * tokens as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn keys_depend_on_the_spec_and_on_the_stage_and_not_on_the_name() {
        let (one, other) = (sample::stage().key(None), sample::stage().key(Some(&StageKey::from_bytes([1; 32]))));
        let spec = sample::evaluation();
        assert_eq!(spec.key(&one), spec.key(&one));
        assert_ne!(spec.key(&one), spec.key(&other));
        let longer = EvaluationTask { tokens: spec.task.tokens + 1, ..spec.task.clone() };
        assert_ne!(EvaluationSpec { task: longer, ..spec.clone() }.key(&one), spec.key(&one));
    }

    #[test]
    fn the_key_of_a_known_evaluation_never_changes() {
        assert_eq!(sample::evaluation().key(&sample::stage().key(None)).short(), "stage_9ce832d4");
    }

    #[test]
    fn specs_survive_json() {
        let json = serde_json::to_string(&sample::evaluation()).expect("serialises");
        assert!(json.contains(r#""task":{"kind":"held_out_loss","dataset":"data_"#), "{json}");
        assert_eq!(serde_json::from_str::<EvaluationSpec>(&json).expect("parses"), sample::evaluation());
    }

    #[test]
    fn what_this_version_does_not_know_is_refused_by_name() {
        let json = serde_json::to_string(&sample::evaluation()).expect("serialises");
        for (known, unknown, name) in [
            (r#""kind":"held_out_loss""#, r#""kind":"horoscope""#, "horoscope"),
            (r#""kind":"held_out_loss""#, r#""kind":"held_out_loss","bits":4"#, "bits"),
        ] {
            assert!(json.contains(known), "{json}");
            let error = EvaluationSpec::from_json(json.replace(known, unknown).as_bytes()).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
