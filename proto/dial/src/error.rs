//! Why there is no connection.

use std::io;

/// Why a coordinator cannot be dialled. None of these holds what a proxy or an address was given as a password.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// There is nobody in it to dial.
    #[error("the address names no host")]
    NoHost,
    /// It is neither `http` nor `https`, so nobody knows the port.
    #[error("the address begins with neither http:// nor https://")]
    Scheme,
    /// A name or a password before the host ends up in logs and in the lists of processes.
    #[error("the address holds a user's name or password: leave out what is before the `@`")]
    UserInfo,
    /// The coordinator's machine, or the way there.
    #[error("cannot reach {target}")]
    Direct {
        /// Host and port.
        target: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy is one of another kind.
    #[error("the proxy {proxy} is no http:// proxy: give one in HTTPS_PROXY, or exempt the coordinator in NO_PROXY")]
    ProxyKind {
        /// Its address.
        proxy: String,
    },
    /// The proxy's machine, or the way there.
    #[error("cannot reach the proxy {proxy}")]
    Proxy {
        /// Its address.
        proxy: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It wants to know who asks.
    #[error("the proxy {proxy} wants a name and a password, and those in the environment are none it takes")]
    Credentials {
        /// Its address.
        proxy: String,
    },
    /// It does not connect to there.
    #[error("the proxy {proxy} answered {status} when asked for {target}")]
    Refused {
        /// Its address.
        proxy: String,
        /// Where it was to connect to.
        target: String,
        /// What it said.
        status: u16,
    },
    /// It does not speak HTTP, or too much of it.
    #[error("the proxy {proxy} sent no answer that can be read")]
    Answer {
        /// Its address.
        proxy: String,
    },
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::other(error)
    }
}
