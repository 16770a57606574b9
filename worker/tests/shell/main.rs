//! The worker's shell from end to end: the real session, outbox, checkpoints and connection, over a trainer without
//! tensors and a coordinator that says and does what a test tells it to.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod connections;
mod coordinator;
mod evaluations;
mod lives;
mod orders;
mod proofs;
mod record;
mod stages;
mod trainer;
