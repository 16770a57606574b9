//! Every reader of outside input, as a function of bytes: whatever the bytes are, it returns.
//!
//! `tests/fuzz/libfuzzer` drives these functions with a fuzzer (`cargo xtask fuzz`), and `tests/replay.rs` runs them on
//! every file in `tests/fuzz/corpus` with each `cargo test`. An input that once crashed one is in the corpus, so the
//! fix stays in place. `cargo run -p windtunnel-fuzz --example seeds` makes most of the files.
//!
//! This crate knows neither the tensor library nor a database, so that it builds in minutes. It therefore does not
//! cover what the coordinator does with a worker's messages beyond decoding them.

mod dataset;
mod manifest;
mod recipe;
mod shard;
mod spool;
mod wire;

pub use dataset::dataset;
pub use manifest::manifest;
pub use recipe::recipe;
pub use shard::shard;
pub use spool::spool;
pub use wire::wire;

/// Valid inputs to start from.
pub mod seed {
    pub use crate::shard::{manifest, npy};
}

/// A function that reads an input and must not panic.
pub type Target = fn(&[u8]);

/// Every target under its name, which is also the name of its corpus folder and its binary.
pub const TARGETS: [(&str, Target); 6] = [
    ("dataset", dataset),
    ("manifest", manifest),
    ("recipe", recipe),
    ("shard", shard),
    ("spool", spool),
    ("wire", wire),
];
