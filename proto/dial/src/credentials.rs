//! What a caller shows a coordinator.

use std::fmt;

/// The variable of the environment that holds a token.
pub const TOKEN_VARIABLE: &str = "WINDTUNNEL_TOKEN";

/// A text that nobody but its owner may read. It is in no log and no error: its debug form is a placeholder.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text for one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for who is to know it.
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

/// What shows a coordinator who dials, and the one who dials that it is the coordinator.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Sent with every call.
    pub token: Option<Secret>,
    /// Certificates, as PEM, of those who may vouch for the coordinator; those of the system where there are none.
    pub ca: Option<Vec<u8>>,
    /// For a coordinator that asks who dials.
    pub identity: Option<ClientIdentity>,
    /// Whether the token may go over a connection that others can read.
    pub allow_plain_token: bool,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct ClientIdentity {
    /// The certificate, with those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(..)")
    }
}
