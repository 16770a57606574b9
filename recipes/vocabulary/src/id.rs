//! Identifiers: newtypes that print with a prefix and parse back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: expected `{kind}_` followed by {digits} lower-case hexadecimal digits")]
pub struct ParseIdError {
    /// The prefix that was expected.
    pub kind: &'static str,
    /// How many digits follow it.
    pub digits: usize,
    /// What was found instead (cut to 80 characters).
    pub text: String,
}

fn parse_hex<const N: usize>(kind: &'static str, text: &str) -> Result<[u8; N], ParseIdError> {
    let refuse = || ParseIdError { kind, digits: 2 * N, text: text.chars().take(80).collect() };
    let digits = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_')).ok_or_else(refuse)?;
    let bytes = digits.as_bytes();
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if bytes.len() != 2 * N {
        return Err(refuse());
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = nibble(pair[0]).zip(nibble(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(refuse)?;
    }
    Ok(out)
}

/// Writes two digits a byte at once: a look at a large campaign formats tens of thousands of keys.
fn write_hex<const N: usize>(bytes: &[u8; N], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [[0; 2]; N];
    for (pair, byte) in digits.iter_mut().zip(bytes) {
        *pair = [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    }
    f.write_str(str::from_utf8(digits.as_flattened()).map_err(|_| fmt::Error)?)
}

/// The digits of a text that begins as an identifier of this kind does.
fn digits_after<'a>(kind: &str, text: &'a str) -> Option<&'a str> {
    if text.is_empty() || kind.starts_with(text) {
        return (!text.is_empty()).then_some("");
    }
    text.strip_prefix(kind)?.strip_prefix('_')
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The identifier with these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the identifier.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The identifier derived from content: the leading bytes of its BLAKE3 hash.
            #[must_use]
            pub fn from_content(content: &[u8]) -> Self {
                let mut bytes = [0; $bytes];
                let context = concat!("windtunnel 2026-11 ", $kind);
                blake3::Hasher::new_derive_key(context).update(content).finalize_xof().fill(&mut bytes);
                Self(bytes)
            }

            /// The first and the last identifier whose text begins so; `None` where none does, or the text is empty.
            #[must_use]
            pub fn beginning_with(text: &str) -> Option<std::ops::RangeInclusive<Self>> {
                let digits = digits_after($kind, text).filter(|digits| digits.len() <= 2 * $bytes)?;
                let filled = |fill: &str| {
                    let rest = fill.repeat(2 * $bytes - digits.len());
                    format!(concat!($kind, "_{}{}"), digits, rest).parse().ok()
                };
                Some(filled("0")?..=filled("f")?)
            }

            /// The prefix and the first eight digits: enough for a person to tell two apart.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string()[..$kind.len() + 1 + 8].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($kind, "_"))?;
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex($kind, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_id! {
    /// A stage, by everything that decides its numbers: the BLAKE3 hash of its spec and its parent's key.
    StageKey, "stage", 32
}
hash_id! {
    /// A prepared dataset, by its content: tokenizer and token shards.
    DatasetId, "data", 16
}
hash_id! {
    /// A campaign, by its name and the trials it asks for: the same recipe over the same data is the same campaign.
    CampaignId, "campaign", 8
}
hash_id! {
    /// A trial, by its last stage.
    TrialId, "trial", 8
}
hash_id! {
    /// A worker process. Every start of a process gets a new one.
    WorkerId, "worker", 8
}

/// How many times a stage has been handed out, this time included. It is the fencing token of everything a worker reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// An attempt at a stage: what every message between worker and coordinator is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    pub stage: StageKey,
    pub attempt: Attempt,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stage.short(), self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse_back() {
        let key = StageKey::from_content(b"a stage");
        assert_eq!(key.to_string().parse(), Ok(key));
        assert!(key.to_string().starts_with(&key.short()));
        assert_eq!(key.short().len(), "stage_".len() + 8);
    }

    #[test]
    fn other_kinds_and_damaged_ids_are_refused() {
        let trial = TrialId::from_content(b"a trial").to_string();
        assert!(trial.parse::<CampaignId>().is_err());
        assert!(trial[..trial.len() - 1].parse::<TrialId>().is_err());
        assert!(trial.to_uppercase().parse::<TrialId>().is_err());
        assert!("trial_é2345678901234".parse::<TrialId>().is_err());
    }

    #[test]
    fn the_same_content_has_another_hash_under_another_kind() {
        assert_ne!(TrialId::from_content(b"x").as_bytes(), CampaignId::from_content(b"x").as_bytes());
    }
}
