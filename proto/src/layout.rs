//! Paths below the storage's root. All are relative, with `/` between their parts.
//!
//! ```text
//! datasets/<dataset>/...
//! checkpoints/<stage>/<attempt>-<step>/{weights.safetensors, optimizer.safetensors, manifest.json}
//! ```

use std::hash::{BuildHasher, RandomState};

use vocabulary::{Attempt, AttemptKey, DatasetId, StageKey};

/// The file that completes a checkpoint, inside its folder.
pub const MANIFEST: &str = "manifest.json";

/// The folder of a prepared dataset.
#[must_use]
pub fn dataset_path(dataset: &DatasetId) -> String {
    format!("datasets/{dataset}")
}

/// The name of a folder for an unfinished copy of a dataset, beside the dataset's own. No process on any host makes it
/// twice.
#[must_use]
pub fn partial_name(dataset: &DatasetId) -> String {
    // Keyed by the operating system's random numbers, anew for each.
    let number = RandomState::new().hash_one(std::process::id());
    format!("{dataset}{PARTIAL}{number:016x}")
}

/// Whether a name is that of an unfinished copy of this dataset.
#[must_use]
pub fn is_partial_name(name: &str, dataset: &DatasetId) -> bool {
    name.strip_prefix(&dataset.to_string()).is_some_and(|rest| rest.starts_with(PARTIAL))
}

/// Follows the dataset's name.
const PARTIAL: &str = ".partial-";

/// The folder of a stage's checkpoints.
#[must_use]
pub fn stage_path(stage: &StageKey) -> String {
    format!("checkpoints/{stage}")
}

/// The folder of one checkpoint. Its name includes the attempt, so that two workers that both believe they own a stage
/// never write the same file.
#[must_use]
pub fn checkpoint_path(key: AttemptKey, step: u64) -> String {
    format!("{}/{}-{step}", stage_path(&key.stage), key.attempt.0)
}

/// The manifest of one checkpoint.
#[must_use]
pub fn manifest_path(key: AttemptKey, step: u64) -> String {
    format!("{}/{MANIFEST}", checkpoint_path(key, step))
}

/// Whether a path received from elsewhere is that of a manifest of this stage and step, of some attempt.
#[must_use]
pub fn is_manifest_path(path: &str, stage: &StageKey, step: u64) -> bool {
    let attempt = path.strip_prefix(&format!("{}/", stage_path(stage)));
    let attempt = attempt.and_then(|rest| rest.strip_suffix(&format!("-{step}/{MANIFEST}")));
    let attempt = attempt.and_then(|attempt| attempt.parse().ok()).map(Attempt);
    // Printed again, because numbers have more than one spelling.
    attempt.is_some_and(|attempt| manifest_path(AttemptKey { stage: *stage, attempt }, step) == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_of_printed_forms() {
        let stage = StageKey::from_bytes([0xab; 32]);
        let hex = "ab".repeat(32);
        let key = AttemptKey { stage, attempt: Attempt(3) };
        assert_eq!(manifest_path(key, 70), format!("checkpoints/stage_{hex}/3-70/manifest.json"));
        assert!(is_manifest_path(&manifest_path(key, 70), &stage, 70));
        assert_eq!(dataset_path(&DatasetId::from_bytes([1; 16])), format!("datasets/data_{}", "01".repeat(16)));
    }

    #[test]
    fn unfinished_copies_have_names_of_their_own() {
        let (this, other) = (DatasetId::from_bytes([1; 16]), DatasetId::from_bytes([2; 16]));
        let name = partial_name(&this);
        assert_ne!(name, partial_name(&this));
        assert!(is_partial_name(&name, &this) && !is_partial_name(&name, &other));
        // Those of earlier versions, too.
        assert!(is_partial_name(&format!("{this}.partial-4711"), &this));
        assert!(!is_partial_name(&this.to_string(), &this));
    }

    #[test]
    fn a_manifest_that_is_said_to_lie_elsewhere_is_told() {
        let stage = StageKey::from_bytes([0xab; 32]);
        let right = manifest_path(AttemptKey { stage, attempt: Attempt(3) }, 70);
        let beside = right.replace("checkpoints/", "checkpoints/../checkpoints/");
        let other = right.replace("ab", "cd");
        let spelt = right.replace("/3-70", "/+3-70");
        let longer = format!("{right}/../manifest.json");
        for path in ["", "/etc/passwd", "../manifest.json", &beside, &other, &spelt, &longer] {
            assert!(!is_manifest_path(path, &stage, 70), "{path}");
        }
        assert!(!is_manifest_path(&right, &stage, 71));
    }
}
