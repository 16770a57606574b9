//! A coordinator's client: its calls with the vocabulary on this side of them, and the workflows that are more than one call.
//!
//! [`Campaigns`] makes the calls, [`CallError`] says what can go wrong. [`Measured`] is what a report is made from, put
//! together from the answers; [`follow()`] watches a campaign to its end; [`submit()`], [`extend()`] and [`branch()`] hand work
//! in, after [`upload_dataset()`] has brought its data to the coordinator's storage; [`fit_table()`] fits a table without any
//! coordinator.
//!
//! Deliberately prints nothing and parses no arguments: a command, a test and a page call the same functions, and what takes
//! long is told to whoever asked. It starts no coordinator and knows no tensors.

mod branch;
mod call_error;
mod campaigns;
mod extend;
mod follow;
mod given_up;
mod measured;
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
pub use submit::{Accepted, Data, SubmitError, branch, extend, submit};
pub use table::{FittedTable, TableError, fit_table, names_a_file, names_a_table};
pub use upload::{Destination, Upload, UploadError, upload_dataset};
