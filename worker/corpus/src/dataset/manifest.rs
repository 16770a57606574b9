//! The contents of a dataset's directory, as recorded in its `manifest.json`.

use serde::{Deserialize, Serialize};
use vocabulary::{Dataset, DatasetId};

use crate::dropped::Dropped;
use crate::hash::ContentHash;

/// Name of the file that describes the others.
pub const MANIFEST: &str = "manifest.json";
/// The only version of the manifest so far.
pub const FORMAT_VERSION: u32 = 1;

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
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

impl Manifest {
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
}
