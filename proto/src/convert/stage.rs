//! Stages, whose specs travel in their canonical form.

use vocabulary::{SpecError, Stage, StageRole, StageSpec};

use super::{ConvertError, Problem, id, optional_id};
use crate::v1;

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
            role: v1::StageRole::from(stage.role).into(),
            size: stage.size.clone(),
            seed: stage.seed,
            spec_json: String::from_utf8(stage.spec.to_json()).expect("JSON is UTF-8"),
        }
    }
}

impl TryFrom<v1::Stage> for Stage {
    type Error = ConvertError;

    fn try_from(stage: v1::Stage) -> Result<Self, ConvertError> {
        let stage = Self {
            key: id("key", &stage.key)?,
            parent: optional_id("parent", stage.parent.as_deref())?,
            spec: spec("spec_json", &stage.spec_json)?,
            role: role("role", stage.role)?,
            size: stage.size,
            seed: stage.seed,
        };
        check_key(&stage)?;
        Ok(stage)
    }
}

/// Reads a spec from its canonical form.
///
/// # Errors
/// If it is missing, is not a spec, has a field that this version does not know, or a value that nothing can be trained
/// with.
pub fn spec(field: &str, json: &str) -> Result<StageSpec, ConvertError> {
    if json.is_empty() {
        return Err(ConvertError::new(field, Problem::Missing));
    }
    StageSpec::from_json(json.as_bytes()).map_err(|error| match error {
        SpecError::Json(reason) => ConvertError::new(field, Problem::Json { reason }),
        SpecError::Field { .. } => ConvertError::new(field, Problem::Spec(error)),
    })
}

/// Derives the key again: a spec that was altered on the way, or that the other side reads in another way, would be trained
/// under a name that is not its own.
pub(super) fn check_key(stage: &Stage) -> Result<(), ConvertError> {
    let derived = stage.spec.key(stage.parent.as_ref());
    if derived == stage.key { Ok(()) } else { Err(ConvertError::new("key", Problem::Key { derived })) }
}
