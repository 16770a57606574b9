//! How commands speak with a coordinator: always over gRPC, also where it runs in the same process.
//!
//! [`reach()`] finds or starts the coordinator, [`Campaigns`] makes the calls, [`CallError`] says what can go wrong.

mod call_error;
mod campaigns;
mod credentials;
mod reach;

pub(crate) use call_error::CallError;
pub(crate) use campaigns::{Campaigns, Detail};
pub(crate) use credentials::CredentialArgs;
pub(crate) use reach::{CoordinatorArgs, Reached, embedded, is_taken, reach, reach_or_embed, with_coordinator};
