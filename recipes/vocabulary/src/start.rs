//! Where a stage's weights come from.

use crate::model::ModelSpec;
use crate::surgery::{Surgery, SurgeryError};

/// What a stage starts from: its parent's last checkpoint after these surgeries, or initial weights where it has no parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartSpec {
    /// Seed of the initial weights. All stages of a run have the same, also those that start from a checkpoint.
    pub init_seed: u64,
    /// What is done to the parent's checkpoint before the first step, in this order. Always empty without a parent.
    pub surgery: Vec<Surgery>,
}

impl StartSpec {
    /// A start without surgery.
    #[must_use]
    pub fn of_seed(init_seed: u64) -> Self {
        Self { init_seed, surgery: Vec::new() }
    }

    /// The model that a stage with this start trains, given its parent's.
    ///
    /// # Errors
    /// If a surgery does not apply to the model it is done to.
    pub fn model(&self, parent: &ModelSpec) -> Result<ModelSpec, SurgeryError> {
        self.surgery.iter().try_fold(*parent, |model, surgery| surgery.model(&model))
    }
}
