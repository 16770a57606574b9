//! The manifest of a checkpoint: the file that is written last, and by whose hash the checkpoint is committed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vocabulary::{Attempt, AttemptKey, StageKey};

use crate::limits::{MAX_BLOBS, MAX_MANIFEST_BYTES, MAX_NAME_BYTES};

/// The only version of the format, written and read.
pub const FORMAT_VERSION: u32 = 1;

/// The manifest of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointManifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The stage that was trained.
    pub stage: StageKey,
    /// The attempt that wrote it.
    pub attempt: Attempt,
    /// Steps done, counted from the root. Training continues with this step.
    pub step: u64,
    /// The other files of the checkpoint, in the same folder.
    pub blobs: Vec<BlobEntry>,
}

/// One file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobEntry {
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 hash of its content, 64 lower-case hexadecimal digits.
    pub blake3: String,
}

/// A text that is not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is too long.
    #[error("a manifest of {bytes} bytes is longer than the {MAX_MANIFEST_BYTES} that are accepted")]
    TooLong {
        /// Size of the text.
        bytes: usize,
    },
    /// The text is not JSON of the right form.
    #[error("the manifest cannot be read")]
    Parse(#[source] serde_json::Error),
    /// Another version of the program wrote it.
    #[error("the manifest has format version {found}, and this program reads version {FORMAT_VERSION}")]
    Version {
        /// The version it states.
        found: u32,
    },
    /// It lists too many files.
    #[error("the manifest lists {count} files, and {MAX_BLOBS} are accepted")]
    TooManyBlobs {
        /// Number of files listed.
        count: usize,
    },
    /// A file name that could lead out of the checkpoint's folder, or is listed twice.
    #[error("the manifest lists {name:?}, which is not the plain name of a file or is there twice")]
    BlobName { name: String },
    /// A malformed hash.
    #[error("the hash of {name:?} in the manifest is not 64 lower-case hexadecimal digits")]
    BlobHash {
        /// Name of the file.
        name: String,
    },
}

impl CheckpointManifest {
    /// The manifest of a checkpoint that was just written.
    #[must_use]
    pub fn new(key: AttemptKey, step: u64, blobs: Vec<BlobEntry>) -> Self {
        let AttemptKey { stage, attempt } = key;
        Self { format_version: FORMAT_VERSION, stage, attempt, step, blobs }
    }

    /// Serialises the manifest.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a manifest always has a JSON form")
    }

    /// Parses a stored manifest.
    ///
    /// # Errors
    /// Fails if the text is too long, is not a manifest of this version, or names files outside its folder.
    pub fn from_json(text: &[u8]) -> Result<Self, ManifestError> {
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLong { bytes: text.len() });
        }
        let manifest: Self = serde_json::from_slice(text).map_err(ManifestError::Parse)?;
        if manifest.format_version != FORMAT_VERSION {
            return Err(ManifestError::Version { found: manifest.format_version });
        }
        if manifest.blobs.len() > MAX_BLOBS {
            return Err(ManifestError::TooManyBlobs { count: manifest.blobs.len() });
        }
        let mut names = BTreeSet::new();
        for blob in &manifest.blobs {
            if !is_plain_name(&blob.name) || !names.insert(&blob.name) {
                return Err(ManifestError::BlobName { name: blob.name.chars().take(80).collect() });
            }
            if !is_blake3(&blob.blake3) {
                return Err(ManifestError::BlobHash { name: blob.name.clone() });
            }
        }
        Ok(manifest)
    }
}

/// Whether a text is a BLAKE3 hash: 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_blake3(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Letters, digits, `.`, `_` and `-`, beginning with a letter or a digit: the same file on every system and store.
fn is_plain_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= MAX_NAME_BYTES
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> CheckpointManifest {
        let blob = |name: &str| BlobEntry { name: name.to_owned(), bytes: 12, blake3: "0a".repeat(32) };
        CheckpointManifest {
            format_version: FORMAT_VERSION,
            stage: StageKey::from_content(b"a stage"),
            attempt: Attempt(2),
            step: 140,
            blobs: vec![blob("weights.safetensors"), blob("optimizer.safetensors")],
        }
    }

    #[test]
    fn manifests_survive_json() {
        assert_eq!(CheckpointManifest::from_json(&manifest().to_json()).expect("it reads"), manifest());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", ".", "..", "../weights", "/etc/passwd", "a/b", "a\\b", "-x", "é"] {
            let mut bad = manifest();
            bad.blobs[0].name = name.to_owned();
            let error = CheckpointManifest::from_json(&bad.to_json()).expect_err(name);
            assert!(matches!(error, ManifestError::BlobName { .. }), "{name:?}: {error}");
        }
        let mut twice = manifest();
        twice.blobs[1].name = twice.blobs[0].name.clone();
        assert!(matches!(CheckpointManifest::from_json(&twice.to_json()), Err(ManifestError::BlobName { .. })));
    }

    #[test]
    fn other_versions_and_damaged_texts_are_refused() {
        let mut newer = manifest();
        newer.format_version = 2;
        let refused = CheckpointManifest::from_json(&newer.to_json());
        assert!(matches!(refused, Err(ManifestError::Version { found: 2 })));

        let mut hash = manifest();
        hash.blobs[0].blake3 = "0A".repeat(32);
        assert!(matches!(CheckpointManifest::from_json(&hash.to_json()), Err(ManifestError::BlobHash { .. })));

        let whole = manifest().to_json();
        let cut = CheckpointManifest::from_json(&whole[..whole.len() - 3]);
        assert!(matches!(cut, Err(ManifestError::Parse(_))));

        let long = vec![b' '; MAX_MANIFEST_BYTES + 1];
        assert!(matches!(CheckpointManifest::from_json(&long), Err(ManifestError::TooLong { .. })));
    }
}
