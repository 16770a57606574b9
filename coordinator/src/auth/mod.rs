//! Who may call what.
//!
//! A token is 256 random bits behind a public identifier. The store holds its BLAKE3 hash, its scope, and when it expires
//! or was revoked. It is looked up at every call, so changes by `windtunnel token` take effect at once; the tokens of open
//! streams are checked again every few seconds.
//!
//! A call over TLS carries its token. Over an unencrypted connection a client logs in instead, once both sides have shown
//! that they know the token ([`dial::challenge`]). Processes of the coordinator's own user need none: they use the socket
//! in the data directory. Whether callers have to show anything is decided at start.

mod bad_logins;
mod guard;
mod keys;
mod layer;
mod logins;
mod methods;
mod token;

pub(crate) use guard::{Caller, Guard, REVOKED};
pub use keys::{Tokens, TokensError};
pub(crate) use layer::AuthLayer;
pub(crate) use logins::{of_this_user, with_logins};
pub(crate) use token::read as read_token;
pub use token::{ParseScopeError, Scope, TokenId};
pub(crate) use token::{fresh_token, token_id};
