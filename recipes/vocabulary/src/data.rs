//! The tokens that a stage trains on.

use crate::id::DatasetId;
use crate::mixture::Mixture;

/// Windows of text: which dataset, in which order, and how its domains share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSpec {
    pub dataset: DatasetId,
    /// Seed of the order in which its windows are seen.
    pub order_seed: u64,
    /// How sequences are shared out among the dataset's domains; `None` where it has none.
    pub mixture: Option<Mixture>,
}
