//! The contents of a dataset's directory, as recorded in its `manifest.json`.
//!
//! Whoever has the files opens them and finds out what is wrong. [`DatasetManifest::from_json`] is for whoever is sent a
//! manifest before the files, and has to decide by it which files to take.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::content_hash::ContentHash;
use crate::dataset::Dataset;
use crate::dropped::Dropped;
use crate::id::DatasetId;
use crate::mixture::MAX_DOMAINS;

/// Name of the file that describes the others.
pub const MANIFEST: &str = "manifest.json";
/// The only version of the manifest so far.
pub const FORMAT_VERSION: u32 = 1;
/// The longest name of a file of a dataset, in bytes: that of a domain and what follows it.
pub const MAX_FILE_NAME_BYTES: usize = 128;
/// The most files of a dataset that is sent.
pub const MAX_FILES: usize = 10_000;

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetManifest {
    /// Version of the directory's layout.
    pub format_version: u32,
    /// The part that a plan needs.
    pub dataset: Dataset,
    /// Token that separates documents.
    pub end_of_document: u32,
    /// `tokenizer.json`.
    pub tokenizer: FileEntry,
    /// Bytes of text each token stands for, indexed by token: a `.npy` of 16-bit numbers.
    pub token_bytes: FileEntry,
    /// Training split; empty if there are domains.
    pub train: SplitEntry,
    /// Held-out split; empty if there are domains.
    pub validation: SplitEntry,
    /// The domains, in the same order as in `dataset`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainEntry>,
    /// What deduplication removed before the split.
    pub dropped: Dropped,
}

/// A domain's splits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainEntry {
    /// Training split.
    pub train: SplitEntry,
    /// Held-out split.
    pub validation: SplitEntry,
}

/// A split of the corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitEntry {
    /// Number of documents.
    pub documents: u64,
    /// Its tokens in order: an end-of-document token, then each document followed by one.
    pub shards: Vec<ShardEntry>,
    /// Of a held-out split, what is known of each of its documents. Absent in datasets of earlier versions, whose held-out
    /// text is measured in the order of its shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<FileEntry>,
}

/// A token file: a `.npy` of 16-bit or 32-bit numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    pub file: FileEntry,
    /// Number of tokens in it.
    pub tokens: u64,
}

/// A file with its size and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// File name, relative to the manifest's directory.
    pub name: String,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 hash of its content.
    pub blake3: ContentHash,
}

impl DatasetManifest {
    /// Every file except the manifest.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        let shards = self.splits().flat_map(|(train, validation)| train.shards.iter().chain(&validation.shards));
        let indices = self.splits().filter_map(|(_, validation)| validation.index.as_ref());
        [&self.tokenizer, &self.token_bytes].into_iter().chain(shards.map(|shard| &shard.file)).chain(indices)
    }

    /// Training and held-out split of each domain, or of the whole corpus if there are no domains.
    pub fn splits(&self) -> impl Iterator<Item = (&SplitEntry, &SplitEntry)> {
        let whole = self.domains.is_empty().then_some((&self.train, &self.validation));
        whole.into_iter().chain(self.domains.iter().map(|domain| (&domain.train, &domain.validation)))
    }

    /// The dataset's identifier, derived from the names and hashes of its files. It covers the tokenizer, the tokens
    /// and the domains' names, but not the text's origin.
    #[must_use]
    pub fn content_id(&self) -> DatasetId {
        let mut content = Vec::new();
        for file in self.files() {
            content.extend_from_slice(&(file.name.len() as u64).to_le_bytes());
            content.extend_from_slice(file.name.as_bytes());
            content.extend_from_slice(&file.bytes.to_le_bytes());
            content.extend_from_slice(file.blake3.as_bytes());
        }
        content.extend_from_slice(&self.end_of_document.to_le_bytes());
        DatasetId::from_content(&content)
    }

    /// Parses a manifest that somebody sent.
    ///
    /// # Errors
    /// Fails if it is not the manifest of a dataset of this version that has the identifier it states, or names files that a
    /// dataset does not have.
    pub fn from_json(text: &[u8]) -> Result<Self, DatasetManifestError> {
        let manifest: Self = serde_json::from_slice(text).map_err(DatasetManifestError::Parse)?;
        if manifest.format_version != FORMAT_VERSION {
            return Err(DatasetManifestError::Version { found: manifest.format_version });
        }
        let (stated, content) = (manifest.dataset.id, manifest.content_id());
        if stated != content {
            return Err(DatasetManifestError::Identifier { stated, content });
        }
        if manifest.files().count() > MAX_FILES {
            return Err(DatasetManifestError::TooManyFiles);
        }
        let mut names = BTreeSet::new();
        for FileEntry { name, .. } in manifest.files() {
            if !is_file_name(name) || !names.insert(name.as_str()) {
                return Err(DatasetManifestError::FileName { name: name.chars().take(80).collect() });
            }
        }
        if !manifest.adds_up() {
            return Err(DatasetManifestError::Tokens);
        }
        Ok(manifest)
    }

    /// The size of all files but the manifest, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().fold(0, |bytes, file| bytes.saturating_add(file.bytes))
    }

    /// Whether the tokens of the shards add up to those of the dataset and its domains. The first token of a split has no
    /// predecessor to be predicted from.
    fn adds_up(&self) -> bool {
        let predicted = |split: &SplitEntry| {
            let tokens = split.shards.iter().try_fold(0_u64, |sum, shard| sum.checked_add(shard.tokens));
            tokens.map(|tokens| tokens.saturating_sub(1))
        };
        let Dataset { train_tokens, validation_tokens, domains, .. } = &self.dataset;
        let mut sums = (0_u64, 0_u64);
        let mut parts = Vec::new();
        for (train, validation) in self.splits() {
            let (Some(train), Some(validation)) = (predicted(train), predicted(validation)) else { return false };
            let (Some(trained), Some(held_out)) = (sums.0.checked_add(train), sums.1.checked_add(validation)) else {
                return false;
            };
            sums = (trained, held_out);
            parts.push((train, validation));
        }
        let each = domains.iter().map(|domain| (domain.train_tokens, domain.validation_tokens));
        domains.len() == self.domains.len()
            && domains.len() <= MAX_DOMAINS
            && sums == (*train_tokens, *validation_tokens)
            && each.zip(parts).all(|(stated, counted)| stated == counted)
    }
}

/// A text that is not the manifest of a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetManifestError {
    #[error("the manifest of a dataset cannot be read")]
    Parse(#[source] serde_json::Error),
    /// Another version of the program wrote it.
    #[error("the manifest of the dataset has format version {found}, and this program reads version {FORMAT_VERSION}")]
    Version { found: u32 },
    #[error("the manifest says that the dataset is {stated}, and the files that it lists make {content}")]
    Identifier { stated: DatasetId, content: DatasetId },
    #[error("the manifest of the dataset lists more than the {MAX_FILES} files that are accepted")]
    TooManyFiles,
    /// A name that could lead out of the dataset's folder, or is listed twice.
    #[error(
        "the manifest of the dataset lists {name:?}, which is not the name of a file of a dataset or is there twice"
    )]
    FileName { name: String },
    #[error("the shards in the manifest of the dataset do not add up to its tokens")]
    Tokens,
}

/// Whether a file of a dataset other than the manifest can have this name: letters, digits, `-`, `_` and `.`, as in the names
/// of domains, with an ending of its own.
fn is_file_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    name.len() <= MAX_FILE_NAME_BYTES
        && name.chars().all(is_plain)
        && !name.starts_with('.')
        && (name.ends_with(".npy") || name.ends_with(".json"))
        && name != MANIFEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> DatasetManifest {
        let file =
            |name: &str| FileEntry { name: name.to_owned(), bytes: 12, blake3: ContentHash::of(name.as_bytes()) };
        let split = |name: &str, tokens| SplitEntry {
            documents: 1,
            shards: vec![ShardEntry { file: file(name), tokens }],
            index: None,
        };
        let mut manifest = DatasetManifest {
            format_version: FORMAT_VERSION,
            dataset: Dataset {
                id: DatasetId::from_content(b""),
                vocab: 4,
                train_tokens: 9,
                validation_tokens: 4,
                train_bytes: 9,
                validation_bytes: 4,
                sources: Vec::new(),
                domains: Vec::new(),
            },
            end_of_document: 0,
            tokenizer: file("tokenizer.json"),
            token_bytes: file("token_bytes.npy"),
            train: split("train-00000.npy", 10),
            validation: split("validation-00000.npy", 5),
            domains: Vec::new(),
            dropped: Dropped::default(),
        };
        manifest.dataset.id = manifest.content_id();
        manifest
    }

    fn read(manifest: &DatasetManifest) -> Result<DatasetManifest, DatasetManifestError> {
        DatasetManifest::from_json(&serde_json::to_vec(manifest).expect("has a JSON form"))
    }

    #[test]
    fn a_manifest_that_is_sent_is_read_as_it_was_written() {
        let sent = manifest();
        assert_eq!(read(&sent).expect("it is sound"), sent);
        assert_eq!(sent.bytes(), 48);
    }

    #[test]
    fn names_that_lead_elsewhere_or_that_no_dataset_has_are_refused() {
        let long = format!("{}.npy", "a".repeat(MAX_FILE_NAME_BYTES));
        let names =
            ["", ".npy", "..", "../x.npy", "/etc/x.npy", "a/b.npy", "a\\b.npy", "x", "é.npy", "manifest.json", &long];
        for name in names.into_iter().chain(["tokenizer.json"]) {
            let mut bad = manifest();
            bad.token_bytes.name = name.to_owned();
            bad.dataset.id = bad.content_id();
            let error = read(&bad).expect_err(name);
            assert!(matches!(error, DatasetManifestError::FileName { .. }), "{name:?}: {error}");
        }
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let mut renamed = manifest();
        renamed.tokenizer.bytes += 1;
        assert!(matches!(read(&renamed), Err(DatasetManifestError::Identifier { .. })));
        let mut newer = manifest();
        newer.format_version += 1;
        assert!(matches!(read(&newer), Err(DatasetManifestError::Version { found: 2 })));
        // The identifier covers no counts of tokens.
        let mut boasting = manifest();
        boasting.dataset.train_tokens += 1;
        assert!(matches!(read(&boasting), Err(DatasetManifestError::Tokens)));
        let mut overflowing = manifest();
        overflowing.train.shards[0].tokens = u64::MAX;
        overflowing.train.shards.push(overflowing.train.shards[0].clone());
        overflowing.train.shards[1].file.name = "train-00001.npy".to_owned();
        overflowing.dataset.id = overflowing.content_id();
        assert!(matches!(read(&overflowing), Err(DatasetManifestError::Tokens)));
        assert!(matches!(DatasetManifest::from_json(b"{"), Err(DatasetManifestError::Parse(_))));
    }
}
