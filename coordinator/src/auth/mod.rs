//! Who may call what.
//!
//! A token is 256 random bits behind an identifier that is no secret. The store holds its BLAKE3 hash, its scope, and when
//! it expires or was revoked; it is looked up at every call, so that what `windtunnel token` changes counts at once.
//! Streams that are open are asked again every few seconds.
//!
//! Whether tokens are needed is decided at the start, and whoever may read the data directory needs none of them: there
//! the coordinator leaves one for its own tools.

mod bad_logins;
mod guard;
mod keys;
mod layer;
mod methods;
mod token;

pub(crate) use guard::{Caller, Guard, LocalTokens, REVOKED};
pub use keys::Tokens;
pub(crate) use layer::AuthLayer;
pub use token::{ParseScopeError, Scope, TokenId};
