//! The coordinator as workers and people meet it: real services on loopback, a real store, and a worker that trains
//! nothing but says and writes what one would.

mod bench;
mod campaign;
mod checkpoints;
mod evaluations;
mod extension;
mod forgetting;
mod large;
mod measured;
mod refusals;
mod restart;
mod stalls;
mod storage;
mod worker;
