//! The worker's session as a value: stories in which every order and every message sent is accounted for, and a
//! simulation of broken connections, repetitions and revocations under named invariants.

#[path = "../support/mod.rs"]
mod support;

mod endings;
mod leaving;
mod life;
mod revocations;
mod simulation;
mod story;
