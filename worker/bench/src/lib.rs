//! Measures the trainer: its speed, its memory, and both against PyTorch on the same models and machine within the same
//! minutes.
//!
//! ```text
//! train() --contests--> Probe: a process of its own  --> measure(): steps, products, operations, what is around a step
//!    |                  Probe: python, peer.py       --> the same steps and products in PyTorch
//!    v
//! Report: entries, ratios, verdicts on the targets
//! ```
//!
//! Each measurement runs in a child process, so that its peak memory is its own. The processes of a model live through
//! all rounds and take turns, ours and the peer's, so that disturbances of the machine affect both; a ratio is taken
//! within a round.
//!
//! This crate deliberately prints nothing and knows no command line: [`train()`] takes the command that starts a
//! measuring process, and returns a [`Report`]. Start with [`case`] (what is trained), then [`train()`], then
//! [`targets`].

pub mod campaign;
pub mod case;
mod contest;
mod data;
mod error;
mod growth;
pub mod machine;
mod measure;
mod peer;
mod process;
pub mod report;
pub mod results;
mod run;
pub mod summary;
pub mod targets;
mod task;

pub use case::{Case, UnknownCase};
pub use error::BenchError;
pub use measure::{Around, CHECKPOINT_INTERVAL, MeasureError, Operation, Operations, measure};
pub use process::ProbeError;
pub use report::Report;
pub use run::{Options, train};
pub use summary::Summary;
pub use task::Mode;
