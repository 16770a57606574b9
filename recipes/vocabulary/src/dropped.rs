//! What a preparation leaves out of a corpus.

use serde::{Deserialize, Serialize};

/// Counts of what was removed from a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Documents without text, or without any text of their own.
    pub empty_documents: u64,
    /// Documents equal to an earlier one.
    pub duplicate_documents: u64,
    /// Paragraphs equal to an earlier one.
    pub duplicate_paragraphs: u64,
    /// Lines and rows whose text is missing, null or not a text.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub without_text: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
