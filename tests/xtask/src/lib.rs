//! Tasks that a developer runs more than once, as `cargo xtask COMMAND`; nothing to install.
//!
//! [`parts`] lists what `cargo xtask check` runs, and [`check`] runs it. [`layers`] holds the rules about which crate
//! may depend on which; a test asks `cargo metadata` whether they hold. [`prose`] finds phrases that stop a reader.
//! [`chaos`] disturbs a campaign and compares the results; [`fuzz`] runs the readers of outside input under a fuzzer;
//! [`experiments`] repeats the paper's experiments, scaled down; [`cases`] compares what the program does with inputs from the
//! field with what is right.

pub mod cases;
pub mod chaos;
pub mod check;
pub mod experiments;
pub mod fuzz;
pub mod layers;
pub mod parts;
pub mod prose;
pub mod sources;
