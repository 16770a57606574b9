//! Workers under a real Slurm, whatever it does to them: no step is lost, and the results are those of a local run.
//!
//! Skipped where Slurm is not installed. With `WINDTUNNEL_TEST_SLURM=1` that is an error.

#[path = "../support/mod.rs"]
mod support;

mod engine;
mod pilots;
mod pool;
mod pool_site;
mod site;
mod times;
mod users;
