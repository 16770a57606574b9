//! The scheduler's knowledge: durable ([`ledger`], made of [`campaign`] and [`stage`]) and transient ([`worker`]).

pub mod campaign;
pub(crate) mod fleet;
pub mod forget;
pub mod health;
pub mod ledger;
mod search;
pub mod snapshot;
pub mod stage;
pub mod worker;
