//! Dials a coordinator, for workers and command-line clients alike.
//!
//! [`Address`] is where a coordinator listens and how a client with given [`Credentials`] talks to it: over TLS with the
//! token in a header, over loopback after a login that does not reveal the token (`login.rs`), or over a Unix socket
//! that only its owner can open, without a token. [`Proxies`] makes TCP connections:
//! directly, or through an HTTP proxy if the environment names one, as on the nodes of many
//! clusters. `HTTPS_PROXY` applies to addresses that begin with `https`, `HTTP_PROXY` to `http`, `ALL_PROXY` to both;
//! `NO_PROXY` lists hosts to dial directly, in curl's format. Loopback is always dialled directly. A proxy sees the
//! destination and, with TLS, nothing of the traffic.
//!
//! A coordinator may have others that stand by for it: [`Addresses`] is a list of them, of which one leads.
//!
//! One that is somewhere else each time it starts announces itself in a file ([`Rendezvous`]), which is read at each dial.
//!
//! This crate deliberately knows nothing about the messages.

mod address;
mod addresses;
mod credentials;
mod error;
mod login;
mod proxies;
mod rendezvous;
mod route;
mod socket;
mod tunnel;

pub use address::{AUTHORIZATION, Address, AddressError, Authorize, BEARER, Connection, Connector, SOCKET_SCHEME};
pub use addresses::{Addresses, Connectors, split};
pub use credentials::{ClientIdentity, Credentials, Secret, TOKEN_VARIABLE};
pub use error::{DialError, LoginError, failed_login};
pub use login::{GREETING, TOKEN_PREFIX, challenge};
pub use proxies::Proxies;
pub use rendezvous::{RENDEZVOUS_SCHEME, Rendezvous, RendezvousError};
pub use socket::SocketPath;
