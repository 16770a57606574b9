//! A client of the coordinator: its calls in terms of the vocabulary, and workflows of more than one call.
//!
//! [`Campaigns`] makes the calls, [`CallError`] says why one failed. [`Measured`] assembles the input of a report from the
//! answers; [`follow()`] watches a campaign to its end; [`submit()`], [`extend()`], [`branch()`] and [`evaluate()`] submit work
//! after [`upload_dataset()`] has copied its data to the coordinator's storage, or [`send_dataset()`] has sent it through the
//! coordinator; [`Named`] says what a word on a command line
//! names, and [`fit_table()`] fits a table without a coordinator.
//!
//! The crate prints nothing and parses no arguments: commands, tests and pages call the same functions, and long operations
//! report progress through callbacks. It starts no coordinator and knows no tensors.

mod branch;
mod call_error;
mod campaigns;
mod extend;
mod follow;
mod given_up;
mod measured;
mod named;
mod pools;
mod relay;
mod submit;
mod table;
mod upload;

pub use branch::{BranchError, own_stage, trained_on};
pub use call_error::CallError;
pub use campaigns::{Campaigns, Detail, Updates};
pub use extend::{ExtendError, larger};
pub use follow::follow;
pub use given_up::{GivenUp, given_up};
pub use measured::Measured;
pub use named::{Named, NotNamed};
pub use relay::send_dataset;
pub use submit::{Accepted, branch, evaluate, extend, submit};
pub use table::{TableError, fit_isoflop, fit_table};
pub use upload::{Destination, Upload, UploadError, upload_dataset};
