//! Prepared data, as far as a plan has to know it.

use serde::{Deserialize, Serialize};

use crate::id::DatasetId;

/// What a plan needs to know of the prepared data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its content.
    pub id: DatasetId,
    /// Entries of its tokenizer.
    pub vocab: u32,
    /// Tokens to train on.
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Bytes of text behind `train_tokens`.
    pub train_bytes: u64,
    /// Bytes of text behind `validation_tokens`.
    pub validation_bytes: u64,
    /// Which text it is, in words for the report: `toolchain-docs`, or the globs.
    pub sources: Vec<String>,
    /// Its domains, where it has several; what is said above is then of all of them together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Domain>,
}

/// A domain of a dataset: text that is drawn from, and measured on, by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name, as the recipe has it.
    pub name: String,
    /// Tokens to train on.
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Bytes of text behind `train_tokens`.
    pub train_bytes: u64,
    /// Bytes of text behind `validation_tokens`.
    pub validation_bytes: u64,
}
