//! A campaign according to the log.

use std::sync::Arc;

use vocabulary::Plan;

use crate::weight::Weight;

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
