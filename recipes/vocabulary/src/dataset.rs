//! What a plan needs to know of its data.

use serde::{Deserialize, Serialize};

use crate::id::DatasetId;

/// A prepared dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// A hash of the content.
    pub id: DatasetId,
    /// Entries of the tokenizer's vocabulary.
    pub vocab: u32,
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Bytes of text behind `train_tokens`.
    pub train_bytes: u64,
    /// Bytes of text behind `validation_tokens`.
    pub validation_bytes: u64,
    /// The text it was prepared from, for the report: `toolchain-docs`, or globs.
    pub sources: Vec<String>,
    /// Its domains, if it has several. The counts above are then sums over all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A domain of a dataset: text with a weight of its own in mixtures, and a held-out set of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name in the recipe.
    pub name: String,
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Bytes of text behind `train_tokens`.
    pub train_bytes: u64,
    /// Bytes of text behind `validation_tokens`.
    pub validation_bytes: u64,
}
