//! Surgeries: changes to a model between two stages.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::ModelSpec;

/// A change to the parent's model that is made once, before a stage's first step.
///
/// [`Surgery::model`] is what it does to the model's spec. The plan and the trainer both call it, so they cannot disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Surgery {
    /// The head becomes a matrix of its own, which starts as a copy of the embedding. The model computes the same function.
    Untie,
}

/// Why a surgery does not apply to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SurgeryError {
    /// There is nothing to untie.
    #[error("the model's head is already a matrix of its own, so it cannot be untied from the embedding")]
    AlreadyUntied,
}

impl Surgery {
    /// Every surgery.
    pub const ALL: [Self; 1] = [Self::Untie];

    /// The surgery of a name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|surgery| surgery.name() == name)
    }

    /// The model after the surgery, given the one before it.
    ///
    /// # Errors
    /// If the surgery does not apply to the model.
    pub fn model(&self, parent: &ModelSpec) -> Result<ModelSpec, SurgeryError> {
        match self {
            Self::Untie if !parent.tied => Err(SurgeryError::AlreadyUntied),
            Self::Untie => Ok(ModelSpec { tied: false, ..*parent }),
        }
    }

    /// Its name in recipes and plans.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Untie => "untie",
        }
    }
}

impl fmt::Display for Surgery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_head_is_untied_once() {
        let tied = sample::model();
        let untied = Surgery::Untie.model(&tied).expect("the sample's head is tied");
        assert_eq!(untied, ModelSpec { tied: false, ..tied });
        assert_eq!(Surgery::Untie.model(&untied), Err(SurgeryError::AlreadyUntied));
    }

    #[test]
    fn surgeries_are_found_by_their_names() {
        for surgery in Surgery::ALL {
            assert_eq!(Surgery::named(surgery.name()), Some(surgery));
        }
        assert_eq!(Surgery::named("Untie"), None);
    }
}
