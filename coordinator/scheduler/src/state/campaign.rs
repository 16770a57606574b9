//! A campaign, as the log knows it.

use std::sync::Arc;

use vocabulary::Plan;

/// A campaign that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// All of it.
    pub(crate) plan: Arc<Plan>,
    /// Whether it is wanted.
    pub(crate) state: CampaignState,
}

/// Whether a campaign is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CampaignState {
    /// It is; over when no stage is open.
    Wanted {
        /// Its stages that may still be trained.
        open: usize,
    },
    /// It no longer is.
    Cancelled,
}

impl Campaign {
    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether nothing of it is left to train.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state == CampaignState::Wanted { open: 0 }
    }

    /// Whether it was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state == CampaignState::Cancelled
    }
}
