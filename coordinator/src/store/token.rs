//! What is kept of a token: its hash, its scope and its lifetime.

use crate::clock::unix_ms;

/// A token that was created. Its secret is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The public part of the token.
    pub token: String,
    /// A name for people.
    pub name: String,
    /// What it allows.
    pub scope: String,
    /// BLAKE3 hash of the whole token, in hexadecimal.
    pub hash: String,
    /// When it was created, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// When it expires, if it does.
    pub expires_at_ms: Option<u64>,
    /// When it was revoked, if it was.
    pub revoked_at_ms: Option<u64>,
}

/// Whether a token is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It is accepted.
    Valid,
    /// Its lifetime is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

impl TokenRow {
    /// Whether the token is accepted now.
    #[must_use]
    pub fn state(&self) -> TokenState {
        if self.revoked_at_ms.is_some() {
            TokenState::Revoked
        } else if self.expires_at_ms.is_some_and(|at| at <= unix_ms()) {
            TokenState::Expired
        } else {
            TokenState::Valid
        }
    }
}
