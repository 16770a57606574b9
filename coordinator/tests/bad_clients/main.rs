//! Misbehaving clients: the coordinator stays up, holds no more than it may, and keeps serving an honest worker and an
//! honest client.

#[allow(dead_code, reason = "the tests it was written for use all of it")]
#[path = "../end_to_end/bench.rs"]
mod bench;
mod connections;
mod flood;
mod honest;
mod messages;
mod streams;
#[allow(dead_code, reason = "the tests it was written for use all of it")]
#[path = "../end_to_end/worker.rs"]
mod worker;
