//! Paths below the storage's root. All are relative, with `/` between their parts.
//!
//! ```text
//! datasets/<dataset>/...
//! checkpoints/<stage>/<attempt>-<step>/{weights.safetensors, optimizer.safetensors, manifest.json}
//! ```

use vocabulary::{Attempt, AttemptKey, DatasetId, StageKey};

/// The file that completes a checkpoint, inside its folder.
pub const MANIFEST: &str = "manifest.json";

/// The folder of a prepared dataset.
#[must_use]
pub fn dataset_path(dataset: &DatasetId) -> String {
    format!("datasets/{dataset}")
}

/// The folder of one checkpoint. Its name includes the attempt, so that two workers that both believe they own a stage
/// never write the same file.
#[must_use]
pub fn checkpoint_path(key: AttemptKey, step: u64) -> String {
    format!("checkpoints/{}/{}-{step}", key.stage, key.attempt.0)
}

/// The manifest of one checkpoint.
#[must_use]
pub fn manifest_path(key: AttemptKey, step: u64) -> String {
    format!("{}/{MANIFEST}", checkpoint_path(key, step))
}

/// Whether a path received from elsewhere is that of a manifest of this stage and step, of some attempt.
#[must_use]
pub fn is_manifest_path(path: &str, stage: &StageKey, step: u64) -> bool {
    let attempt = path.strip_prefix(&format!("checkpoints/{stage}/"));
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
