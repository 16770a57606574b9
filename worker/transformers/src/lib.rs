//! Checkpoints in the layouts that Hugging Face `transformers` loads.
//!
//! ```text
//! Snapshot --Export::new--> Export --write--> model.safetensors, config.json, ...
//! a model's folder --import--> Imported { snapshot, .. }
//! ```
//!
//! Three layouts ([`Format`]) have the arithmetic of a MiniCPM model; they differ in where its Tensor-Program scalings go:
//! into the configuration (`granite`, `minicpm`) or into the weights (`llama`). In all of them a matrix is
//! `[to, from]` and queries, keys and values, gate and up are matrices of their own; here it is `[from, to]`, with those side by
//! side. The rotary position embedding turns the halves of a head against each other in both.
//!
//! This crate deliberately knows no network and no coordinator, and computes nothing with the weights but those scalings.
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
