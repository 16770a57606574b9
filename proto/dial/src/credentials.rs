//! What a client presents to a coordinator: a token, a client certificate, and the authorities it trusts.

use std::fmt;

/// Environment variable that holds a token.
pub const TOKEN_VARIABLE: &str = "WINDTUNNEL_TOKEN";

/// A string kept out of logs and errors: its `Debug` form is a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a string.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The string itself, for the code that has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Credentials for a connection: what the client proves to the coordinator, and how it recognises the coordinator.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Sent in a header of every call.
    pub token: Option<Secret>,
    /// PEM certificates of the authorities to trust for the coordinator's certificate. `None` trusts the system's.
    pub ca: Option<Vec<u8>>,
    /// Client certificate, for a coordinator that requires one.
    pub identity: Option<ClientIdentity>,
    /// Allows the token over an unencrypted connection.
    pub allow_plain_token: bool,
    /// Of the tokens that a coordinator announces in a file, takes the one for workers.
    pub is_worker: bool,
}

/// A client certificate and its private key, both PEM.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate, followed by any intermediates up to the authority.
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(..)")
    }
}
