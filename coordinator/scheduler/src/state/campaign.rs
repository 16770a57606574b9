//! A campaign according to the log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vocabulary::Plan;

/// An accepted campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// The whole plan, including later growth.
    pub(crate) plan: Arc<Plan>,
    /// Whether somebody still wants it.
    pub(crate) state: CampaignState,
    /// Its share of the workers beside other campaigns.
    pub(crate) weight: Weight,
}

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

/// Whether a campaign is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CampaignState {
    /// Wanted; over once no stage is open.
    Wanted {
        /// Number of stages that may still be trained.
        open: usize,
    },
    /// No longer wanted.
    Cancelled,
}

impl Campaign {
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether nothing of it remains to be trained.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state == CampaignState::Wanted { open: 0 }
    }

    #[must_use]
    pub fn weight(&self) -> Weight {
        self.weight
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state == CampaignState::Cancelled
    }
}
