//! Where things lie below the root of the storage. All paths are relative, with `/` between their parts.
//!
//! ```text
//! datasets/<dataset>/...
//! checkpoints/<stage>/<attempt>-<step>/{weights.safetensors, optimizer.safetensors, manifest.json}
//! ```

use recipes::{Attempt, DatasetId, StageKey};

/// The file that makes a checkpoint complete, inside the checkpoint's folder.
pub const MANIFEST: &str = "manifest.json";

/// The folder of a prepared dataset.
#[must_use]
pub fn dataset_path(dataset: &DatasetId) -> String {
    format!("datasets/{dataset}")
}

/// The folder of one checkpoint. The attempt is in its name, so that two workers that both take a stage for theirs never
/// write the same file.
#[must_use]
pub fn checkpoint_path(stage: &StageKey, attempt: Attempt, step: u64) -> String {
    format!("checkpoints/{stage}/{}-{step}", attempt.0)
}

/// The manifest of one checkpoint.
#[must_use]
pub fn manifest_path(stage: &StageKey, attempt: Attempt, step: u64) -> String {
    format!("{}/{MANIFEST}", checkpoint_path(stage, attempt, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_of_printed_forms() {
        let stage = StageKey::from_bytes([0xab; 32]);
        let hex = "ab".repeat(32);
        assert_eq!(manifest_path(&stage, Attempt(3), 70), format!("checkpoints/stage_{hex}/3-70/manifest.json"));
        assert_eq!(dataset_path(&DatasetId::from_bytes([1; 16])), format!("datasets/data_{}", "01".repeat(16)));
    }
}
