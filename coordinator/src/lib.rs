//! The shell around the scheduler: the driver that carries out its decisions, the gRPC services, the store and the pools.
//!
//! Deliberately knows nothing of tensors or of how a stage is trained.

pub mod pools;
pub mod store;
