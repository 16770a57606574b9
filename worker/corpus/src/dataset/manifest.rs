//! What a dataset's directory holds, as its `manifest.json` says.

use serde::{Deserialize, Serialize};
use vocabulary::{Dataset, DatasetId};

use crate::extract::Dropped;
use crate::hash::ContentHash;

/// The file that describes the others.
pub const MANIFEST: &str = "manifest.json";
/// The only version of the manifest so far.
pub const FORMAT_VERSION: u32 = 1;

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The layout of the directory.
    pub format_version: u32,
    /// What a plan needs to know.
    pub dataset: Dataset,
    /// The token before and after each document.
    pub end_of_document: u32,
    /// The `tokenizer.json`.
    pub tokenizer: FileEntry,
    /// Bytes of text per token, by token: a `.npy` of 16-bit numbers.
    pub token_bytes: FileEntry,
    /// What is trained on; empty where there are domains.
    pub train: SplitEntry,
    /// What is held out; likewise.
    pub validation: SplitEntry,
    /// The domains, in the order of the dataset's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainEntry>,
    /// What was left out of both.
    pub dropped: Dropped,
}

/// One of several texts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainEntry {
    /// What is trained on.
    pub train: SplitEntry,
    /// What is held out.
    pub validation: SplitEntry,
}

/// One part of the corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitEntry {
    /// Its documents.
    pub documents: u64,
    /// Its tokens, in order: an end of document, then each document with an end of its own.
    pub shards: Vec<ShardEntry>,
}

/// A file of tokens: a `.npy` of 16-bit or 32-bit numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// The file.
    pub file: FileEntry,
    /// Tokens in it.
    pub tokens: u64,
}

/// A file and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name; it lies beside the manifest.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub blake3: ContentHash,
}

impl Manifest {
    /// Every file but the manifest.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        let shards = self.splits().flat_map(|(train, validation)| train.shards.iter().chain(&validation.shards));
        [&self.tokenizer, &self.token_bytes].into_iter().chain(shards.map(|shard| &shard.file))
    }

    /// What is trained on and what is held out, of each domain; where there are none, of the whole.
    pub fn splits(&self) -> impl Iterator<Item = (&SplitEntry, &SplitEntry)> {
        let whole = self.domains.is_empty().then_some((&self.train, &self.validation));
        whole.into_iter().chain(self.domains.iter().map(|domain| (&domain.train, &domain.validation)))
    }

    /// The identifier that the files' names and hashes give: of the tokenizer, the tokens and the domains' names, not of
    /// where the text came from.
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
