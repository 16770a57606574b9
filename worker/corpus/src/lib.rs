//! Turns text on disk into token shards, and shards into batches.
//!
//! ```text
//! source strings --sources--> files --extract--> documents --split--> train / validation
//!                                                   |
//!                                        tokenizer (trained or given)
//!                                                   |
//!                                    dataset: shards + manifest, named by content
//!                                                   |
//!                                      batch: a pure function of (seed, step)
//! ```
//!
//! This crate deliberately knows no tensors, no devices and no network: it reads files and returns plain `Vec<i32>`.
//! Start with [`prepare()`], which does the first half once and then finds its result again; [`OpenDataset`] does the
//! second half.

pub mod batch;
pub mod dataset;
pub mod extract;
pub mod inspect;
mod order;
pub mod prepare;
pub mod progress;
pub mod sources;
pub mod split;
pub mod tokenizer;

pub use batch::{Batch, BatchError, Group, ValidationSet};
pub use dataset::{DatasetWriter, Manifest, OpenDataset, OpenError, WriteError};
pub use inspect::{InspectError, InspectOptions, Inspection, Sample, SourceShare, inspect, samples};
pub use prepare::{PrepareError, PrepareRequest, Prepared, TextRequest, TokenizerChoice, find_prepared, prepare};
pub use progress::Progress;
pub use sources::{LeftOut, Limits, SourceError};
