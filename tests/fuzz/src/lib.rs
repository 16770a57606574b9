//! Everything that is read from elsewhere, as functions of bytes: whatever the bytes are, they return.
//!
//! `tests/fuzz/libfuzzer` gives them to the fuzzer (`cargo xtask fuzz`), and `tests/replay.rs` gives them every file of
//! `tests/fuzz/corpus` with each `cargo test`. An input that once was a fault is in the corpus, so it stays mended. Most of
//! the files are made by `cargo run -p windtunnel-fuzz --example seeds`.
//!
//! Knows neither the tensor library nor a database, so that it is built in minutes. What the coordinator makes of a
//! worker's messages beyond their vocabulary is thus not in here.

mod manifest;
mod recipe;
mod shard;
mod spool;
mod wire;

pub use manifest::manifest;
pub use recipe::recipe;
pub use shard::shard;
pub use spool::spool;
pub use wire::wire;

/// Sound inputs to start from.
pub mod seed {
    pub use crate::shard::{manifest, npy};
}

/// What is done with an input.
pub type Target = fn(&[u8]);

/// Every target by the name of its function, its folder in the corpus, and its binary.
pub const TARGETS: [(&str, Target); 5] =
    [("manifest", manifest), ("recipe", recipe), ("shard", shard), ("spool", spool), ("wire", wire)];
