//! Dials a coordinator, for workers and command-line clients alike.
//!
//! [`endpoint()`] parses an address and attaches TLS and a token from [`Credentials`]. [`Proxies`] makes the TCP
//! connection below it: directly, or through an HTTP proxy if the environment names one, as on the nodes of many
//! clusters. `HTTPS_PROXY` applies to addresses that begin with `https`, `HTTP_PROXY` to `http`, `ALL_PROXY` to both;
//! `NO_PROXY` lists hosts to dial directly, in curl's format. Loopback is always dialled directly. A proxy sees the
//! destination and, with TLS, nothing of the traffic.
//!
//! This crate deliberately knows nothing about the messages.

mod credentials;
mod endpoint;
mod error;
mod proxies;
mod route;
mod tunnel;

pub use credentials::{ClientIdentity, Credentials, Secret, TOKEN_VARIABLE};
pub use endpoint::{AUTHORIZATION, Authorize, BEARER, EndpointError, connect, endpoint};
pub use error::DialError;
pub use proxies::Proxies;
