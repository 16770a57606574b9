//! Everything a developer of Windtunnel runs twice, as `cargo xtask COMMAND`; nothing to install.
//!
//! [`parts`] is the list of what `cargo xtask check` runs, [`check`] runs it. [`layers`] holds the rules about which
//! crate may know which, and a test of this crate asks `cargo metadata` whether they hold. [`chaos`] disturbs a campaign and
//! compares what comes out; [`fuzz`] gives what is read from elsewhere to a fuzzer; [`experiments`] trains the paper's, small.

pub mod chaos;
pub mod check;
pub mod experiments;
pub mod fuzz;
pub mod layers;
pub mod parts;
