//! Who may call what.
//!
//! A token is 256 random bits behind a public identifier. The store holds its BLAKE3 hash, its scope, and when it expires
//! or was revoked. It is looked up at every call, so changes by `windtunnel token` take effect at once; the tokens of open
//! streams are checked again every few seconds.
//!
//! Whether tokens are needed is decided at start. Whoever may read the data directory needs none of them: the coordinator
//! leaves one there for its own tools.

mod bad_logins;
mod guard;
mod keys;
mod layer;
mod methods;
mod token;

pub(crate) use guard::{Caller, Guard, LocalTokens, REVOKED};
pub use keys::{Tokens, TokensError};
pub(crate) use layer::AuthLayer;
pub use token::{ParseScopeError, Scope, TokenId};
