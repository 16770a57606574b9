//! A campaign according to the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use vocabulary::{Growth, Plan, StageKey};

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
    /// Evaluations of the plan that were cancelled, and not asked for again.
    pub(crate) dropped: BTreeSet<StageKey>,
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

    /// Whether it still wants a stage or an evaluation of its plan.
    #[must_use]
    pub fn wants(&self, key: &StageKey) -> bool {
        !self.is_cancelled() && !self.dropped.contains(key)
    }

    /// What of a growth it does not have, or has cancelled.
    pub(crate) fn beyond(&self, growth: Growth) -> Growth {
        let again: Vec<_> =
            growth.evaluations.iter().filter(|added| self.dropped.contains(&added.key)).cloned().collect();
        let mut growth = growth.beyond(&self.plan);
        growth.evaluations.extend(again);
        growth
    }

    /// What of a growth its plan does not have.
    pub(crate) fn unplanned(&self, growth: &Growth) -> Growth {
        let mut growth = growth.clone();
        growth.evaluations.retain(|added| !self.dropped.contains(&added.key));
        growth
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
