//! The MiniCPM transformer in burn, readable beside the paper (arXiv 2404.06395).
//!
//! Start with [`model`]: the whole network on two pages. [`init`] makes its parameters from the table of [`vocabulary::parameters`], [`ops`] the operations the
//! network is made of: each as a plain formula that any backend differentiates, and as a fused kernel with its own
//! backward pass for the CPU backend. [`compute`] chooses the device.
//!
//! This crate deliberately knows nothing of data, optimisers, checkpoints or coordinators.

pub mod compute;
pub mod gradients;
pub mod init;
pub mod model;
pub mod ops;
pub mod rope;
pub mod simd;
pub mod trace;

pub use compute::{Compute, ComputeError};
pub use gradients::{Activations, Differentiated};
pub use model::{MiniCpm, MiniCpmConfig};
pub use trace::Trace;
