//! Tokens: their form, what is stored of them, and what they allow.

use std::fmt;
use std::str::FromStr;

use dial::{Secret, TOKEN_PREFIX};

const ID_DIGITS: usize = 12;
const SECRET_DIGITS: usize = 64;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read everything and change nothing.
    Read,
    /// Read everything, and submit, cancel and retry campaigns.
    Submit,
    /// Everything, including removing checkpoints and training.
    Admin,
    /// Only train.
    Worker,
}

impl Scope {
    /// All scopes, in the order the command line lists them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Submit, Self::Admin, Self::Worker];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
            Self::Worker => "worker",
        }
    }

    /// Whether a token with this scope may do what needs the other.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Submit => matches!(needed, Self::Submit | Self::Read),
            Self::Read | Self::Worker => self == needed,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope `{text}`: accepted are read, submit, admin and worker")]
pub struct ParseScopeError {
    text: String,
}

impl FromStr for Scope {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, ParseScopeError> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| ParseScopeError { text: text.to_owned() })
    }
}

/// The public part of a token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// What all processes of the coordinator's own user share, which need no token.
    pub(crate) fn local() -> Self {
        Self("local".to_owned())
    }

    /// From the store, or as a person typed it.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, as it is stored and printed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A token as its holder presents it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) id: TokenId,
    /// Comparison takes constant time.
    pub(crate) hash: blake3::Hash,
}

/// A new token, and what is stored of it.
pub(crate) fn fresh() -> (Secret, Shown) {
    let id = TokenId(random_bits()[..ID_DIGITS].to_owned());
    let text = format!("{TOKEN_PREFIX}{id}_{}", random_bits());
    let hash = blake3::hash(text.as_bytes());
    (Secret::new(text), Shown { id, hash })
}

/// A new token: its secret, its public part, and the hash that is stored of it.
pub(crate) fn fresh_token() -> (Secret, String, String) {
    let (secret, shown) = fresh();
    (secret, shown.id.to_string(), shown.hash.to_hex().to_string())
}

/// The public part of a token.
pub(crate) fn token_id(secret: Secret) -> Option<String> {
    read(secret.expose()).map(|shown| shown.id.to_string())
}

/// Parses what a caller presents; `None` if it cannot be a token.
pub(crate) fn read(text: &str) -> Option<Shown> {
    let (id, secret) = text.strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
    let is_sound = secret.len() == SECRET_DIGITS && (1..=64).contains(&id.len());
    is_sound.then(|| Shown { id: TokenId(id.to_owned()), hash: blake3::hash(text.as_bytes()) })
}

/// 256 random bits, in hexadecimal.
fn random_bits() -> String {
    blake3::Hash::from_bytes(rand::random()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_another_is_another() {
        let (secret, kept) = fresh();
        let shown = read(secret.expose()).expect("it is one");
        assert_eq!((&shown.id, shown.hash), (&kept.id, kept.hash));
        assert_ne!(fresh().1.hash, kept.hash);
        assert!(!format!("{secret:?} {kept:?}").contains(secret.expose()));
        for text in ["", "wt_", "wt_a_b", &secret.expose()[1..], &secret.expose()[..40]] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn scopes_allow_what_they_say() {
        let allowed = |scope: Scope| Scope::ALL.into_iter().filter(|needed| scope.allows(*needed)).collect::<Vec<_>>();
        assert_eq!(allowed(Scope::Read), [Scope::Read]);
        assert_eq!(allowed(Scope::Submit), [Scope::Read, Scope::Submit]);
        assert_eq!(allowed(Scope::Admin), Scope::ALL);
        assert_eq!(allowed(Scope::Worker), [Scope::Worker]);
        for scope in Scope::ALL {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        "root".parse::<Scope>().expect_err("it is not one");
    }
}
