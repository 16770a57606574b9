//! Converts checkpoints to and from the layouts that Hugging Face `transformers` loads.
//!
//! ```text
//! Snapshot --Export::new--> Export --write--> model.safetensors, config.json, ...
//! a model's folder --import--> Imported { snapshot, .. }
//! ```
//!
//! Three layouts ([`Format`]) can express the arithmetic of a MiniCPM model; they differ in where its Tensor-Program
//! scalings go: into the configuration (`granite`, `minicpm`) or into the weights (`llama`). All of them store a matrix
//! as `[to, from]` and keep queries, keys, values, gate and up separate; Windtunnel stores `[from, to]` and
//! concatenates those. In both, the rotary position embedding pairs the two halves of a head.
//!
//! This crate deliberately knows no network and no coordinator, and its only arithmetic on weights are those scalings.
//! Start with [`mod@format`], then [`export`].

pub mod config;
pub mod export;
pub mod format;
pub mod import;
pub mod layout;
mod source;

pub use config::ConfigError;
pub use export::{Export, ExportError, TokenizerFile, WriteError, Written};
pub use format::Format;
pub use import::{ImportError, Imported, import};
