//! How a coordinator is dialled, by workers and by people's tools alike.
//!
//! [`endpoint()`] checks an address and puts TLS and a token to it, from [`Credentials`]. [`Proxies`] makes the connection
//! below: directly, or through an HTTP proxy where the environment names one, as it does on the nodes of many clusters.
//! `HTTPS_PROXY` is for addresses that begin with `https`, `HTTP_PROXY` for `http`, `ALL_PROXY` for both; `NO_PROXY` lists
//! what is dialled directly, as it does for curl. This machine itself always is. A proxy sees where a connection leads and,
//! with TLS, nothing of what goes over it.
//!
//! Deliberately knows nothing of the messages.

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
