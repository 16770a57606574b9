//! The weights of campaigns.

use serde::{Deserialize, Serialize};

/// A campaign's share of the workers in proportion to those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u32);

impl Weight {
    pub const DEFAULT: Self = Self(1);
    /// The largest.
    pub const MAX: u32 = 1000;

    /// `None` of zero, and above [`MAX`](Self::MAX).
    #[must_use]
    pub fn new(weight: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&weight).then_some(Self(weight))
    }

    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::DEFAULT
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u32> for Weight {
    type Error = String;

    fn try_from(weight: u32) -> Result<Self, Self::Error> {
        Self::new(weight).ok_or_else(|| format!("a weight is between 1 and {}, not {weight}", Self::MAX))
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}
