//! Losses on several held-out sets.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::mixture::MAX_DOMAINS;

/// The loss on one held-out set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SetLoss {
    /// In nats a token.
    pub per_token: f64,
    /// In nats a byte.
    pub per_byte: f64,
}

/// The losses on the held-out sets of a dataset of several domains, in its order. Empty where there is one set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SetLosses {
    losses: [SetLoss; MAX_DOMAINS],
    len: usize,
}

impl SetLosses {
    /// Of one set after another; `None` for more than a dataset can have.
    #[must_use]
    pub fn of(sets: &[SetLoss]) -> Option<Self> {
        let mut losses = [SetLoss::default(); MAX_DOMAINS];
        losses.get_mut(..sets.len())?.copy_from_slice(sets);
        Some(Self { losses, len: sets.len() })
    }

    /// Set by set.
    #[must_use]
    pub fn as_slice(&self) -> &[SetLoss] {
        &self.losses[..self.len]
    }

    /// Whether there is one set, whose loss stands elsewhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The mean over the sets, each counting once: the paper's average, in nats a byte.
    #[must_use]
    pub fn average(&self) -> Option<SetLoss> {
        let count = self.len as f64;
        let mean = |of: fn(&SetLoss) -> f64| self.as_slice().iter().map(of).sum::<f64>() / count;
        (!self.is_empty())
            .then(|| SetLoss { per_token: mean(|loss| loss.per_token), per_byte: mean(|loss| loss.per_byte) })
    }
}

impl Serialize for SetLosses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SetLosses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sets = Vec::<SetLoss>::deserialize(deserializer)?;
        Self::of(&sets).ok_or_else(|| serde::de::Error::invalid_length(sets.len(), &"at most eight held-out sets"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_counts_each_set_once() {
        let sets = [SetLoss { per_token: 2.0, per_byte: 0.5 }, SetLoss { per_token: 4.0, per_byte: 1.0 }];
        let losses = SetLosses::of(&sets).expect("two fit");
        assert_eq!(losses.average(), Some(SetLoss { per_token: 3.0, per_byte: 0.75 }));
        let json = serde_json::to_string(&losses).expect("serialises");
        assert_eq!(json, r#"[{"per_token":2.0,"per_byte":0.5},{"per_token":4.0,"per_byte":1.0}]"#);
        assert_eq!(serde_json::from_str::<SetLosses>(&json).expect("parses"), losses);
        assert_eq!(SetLosses::default().average(), None);
        assert_eq!(SetLosses::of(&[SetLoss::default(); 9]), None);
    }
}
