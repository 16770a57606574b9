//! Evaluations, and work of either kind.

use vocabulary::{Evaluation, EvaluationKind, EvaluationSpec, SpecError, Stage, Work};

use super::{ConvertError, MAX_NAME_BYTES, Problem, id, line, required};
use crate::v1;

impl From<&Evaluation> for v1::Evaluation {
    fn from(evaluation: &Evaluation) -> Self {
        Self {
            key: evaluation.key.to_string(),
            parent: evaluation.parent.to_string(),
            spec_json: String::from_utf8(evaluation.spec.to_json()).expect("JSON is UTF-8"),
            name: evaluation.name.clone(),
            size: evaluation.size.clone(),
            seed: evaluation.seed,
        }
    }
}

impl TryFrom<v1::Evaluation> for Evaluation {
    type Error = ConvertError;

    fn try_from(evaluation: v1::Evaluation) -> Result<Self, ConvertError> {
        let evaluation = Self {
            key: id("key", &evaluation.key)?,
            parent: id("parent", &evaluation.parent)?,
            spec: spec("spec_json", &evaluation.spec_json)?,
            name: evaluation.name,
            size: evaluation.size,
            seed: evaluation.seed,
        };
        check(&evaluation)?;
        Ok(evaluation)
    }
}

fn spec(field: &str, json: &str) -> Result<EvaluationSpec, ConvertError> {
    if json.is_empty() {
        return Err(ConvertError::new(field, Problem::Missing));
    }
    EvaluationSpec::from_json(json.as_bytes()).map_err(|error| match error {
        SpecError::Json(reason) => ConvertError::new(field, Problem::Json { reason }),
        SpecError::Field { .. } => ConvertError::new(field, Problem::Spec(error)),
    })
}

/// Reads what an evaluation is asked to measure: by default the held-out loss.
///
/// # Errors
/// If it is not the JSON of a measurement that this version knows.
pub fn evaluation_kind(field: &str, json: &str) -> Result<EvaluationKind, ConvertError> {
    if json.is_empty() {
        return Ok(EvaluationKind::default());
    }
    serde_json::from_str(json).map_err(|error| ConvertError::new(field, Problem::Json { reason: error.to_string() }))
}

/// Derives the key again, as a stage's is, and looks at what has to be a line and at what has to be computed with.
pub(super) fn check(evaluation: &Evaluation) -> Result<(), ConvertError> {
    evaluation.spec.check().map_err(|error| ConvertError::new("spec", Problem::Spec(error)))?;
    let derived = evaluation.spec.key(&evaluation.parent);
    if derived != evaluation.key {
        return Err(ConvertError::new("key", Problem::Key { derived }));
    }
    line("name", &evaluation.name, MAX_NAME_BYTES).map(drop)
}

/// Reads what is assigned: a stage or an evaluation, and not both.
///
/// # Errors
/// If it is neither or both, or is not sound.
pub fn work(stage: Option<v1::Stage>, evaluation: Option<v1::Evaluation>) -> Result<Work, ConvertError> {
    match (stage, evaluation) {
        (None, Some(evaluation)) => required::<_, Evaluation>("evaluation", Some(evaluation)).map(Work::Evaluate),
        (Some(_), Some(_)) => Err(ConvertError::new("evaluation", Problem::Range { reason: "stands beside a stage" })),
        (stage, None) => required::<_, Stage>("stage", stage).map(Work::Train),
    }
}
