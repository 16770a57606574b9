//! A connection to a coordinator, for whoever dials one: directly, or through an HTTP proxy where the environment names
//! one, as it does on the nodes of many clusters.
//!
//! `HTTPS_PROXY` is for addresses that begin with `https`, `HTTP_PROXY` for `http`, `ALL_PROXY` for both; `NO_PROXY` lists
//! what is dialled directly, as it does for curl. This machine itself always is. Encryption is the caller's, on top of
//! the connection: a proxy sees where it leads and nothing of what goes over it.
//!
//! Deliberately knows nothing of gRPC. Start with [`Proxies::connect`].

mod error;
mod proxies;
mod route;
mod tunnel;

pub use error::DialError;
pub use proxies::Proxies;
