//! What is known: for ever ([`ledger`], made of [`campaign`] and [`stage`]), and for now ([`worker`]).

pub mod campaign;
pub(crate) mod fleet;
pub mod ledger;
mod search;
pub mod snapshot;
pub mod stage;
pub mod worker;
