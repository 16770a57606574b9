//! Why a connection could not be made.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A coordinator that cannot be dialled. No variant repeats a password from a proxy setting or an address.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address has no host.
    #[error("the address names no host")]
    NoHost,
    /// Any other scheme leaves the port unknown.
    #[error("the address begins with neither http:// nor https://")]
    Scheme,
    /// Credentials in an address would end up in logs and process lists.
    #[error("the address holds a user's name or password: leave out what is before the `@`")]
    UserInfo,
    /// The connection to a coordinator on this machine failed.
    #[error("cannot reach the coordinator's socket {}", .path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Somebody else listens on the socket's path.
    #[error("the socket {} belongs to another user (uid {uid})", .path.display())]
    ForeignSocket { path: PathBuf, uid: u32 },
    /// Listener and client did not recognise each other.
    #[error("cannot log in at {target}")]
    Login {
        /// `host:port`.
        target: String,
        #[source]
        source: LoginError,
    },
    /// The connection to the coordinator failed.
    #[error("cannot reach {target}")]
    Direct {
        /// `host:port`.
        target: String,
        #[source]
        source: io::Error,
    },
    /// The proxy speaks another protocol, such as SOCKS.
    #[error(
        "the proxy {proxy} is not an http:// proxy: give one in HTTPS_PROXY, or exempt the coordinator in NO_PROXY"
    )]
    ProxyKind { proxy: String },
    /// The connection to the proxy failed.
    #[error("cannot reach the proxy {proxy}")]
    Proxy {
        proxy: String,
        #[source]
        source: io::Error,
    },
    /// The proxy answered 407.
    #[error("the proxy {proxy} requires a user name and password, and rejected those in the environment")]
    Credentials { proxy: String },
    /// The proxy answered with a status outside 200 to 299.
    #[error("the proxy {proxy} answered {status} when asked for {target}")]
    Refused {
        proxy: String,
        /// `host:port` requested from the proxy.
        target: String,
        /// HTTP status of the answer.
        status: u16,
    },
    /// The proxy's answer is not HTTP, or is too long.
    #[error("the proxy {proxy} sent an unreadable answer")]
    Answer { proxy: String },
}

/// A login that failed. The token was not sent.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The listener does not know the token, or listens elsewhere.
    #[error(
        "the listener at {address} does not know the token, which was not sent: another program may be listening there, \
         the token may be revoked or of another coordinator, or a tunnel leads to a different port (--insecure allows that)"
    )]
    Stranger { address: SocketAddr },
    /// The listener ended the connection instead of answering.
    #[error(
        "the listener does not prove that it is the coordinator, so the token was not sent: it is another program, or \
         a coordinator of an earlier version"
    )]
    Unanswered,
    /// The listener knows the token's hash and does not accept its secret.
    #[error("the token's secret is wrong")]
    Refused,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] io::Error),
}

/// The login that failed because listener and client did not recognise each other, if that is what is behind an error.
#[must_use]
pub fn failed_login<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e LoginError> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error that wraps another one skips it among its sources.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let wrapped = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static));
        for error in [Some(error), wrapped].into_iter().flatten() {
            if let Some(DialError::Login { source, .. }) = error.downcast_ref() {
                return Some(source).filter(|login| !matches!(login, LoginError::Broken(_)));
            }
        }
        next = wrapped.or_else(|| error.source());
    }
    None
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::other(error)
    }
}
