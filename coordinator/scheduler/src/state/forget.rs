//! Which campaigns can be forgotten, and what goes with them.

use std::collections::BTreeSet;

use vocabulary::{CampaignId, DatasetId, StageKey, Work, WorkerId};

use super::campaign::Campaign;
use super::ledger::Ledger;
use super::stage::StageState;

/// Why a campaign cannot be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForgetError {
    /// The log has no such campaign, or it was forgotten before.
    #[error("it was never submitted, or is forgotten already")]
    Unknown,
    /// It is wanted, and something of it is still to be trained.
    #[error("it is open: cancel it first")]
    Open,
    /// It was cancelled, and a worker has not stopped yet.
    #[error("{} still runs: try again once its worker has stopped", .stage.short())]
    Running {
        /// One that only this campaign has.
        stage: StageKey,
    },
}

impl Ledger {
    /// Whether a campaign can be forgotten.
    ///
    /// # Errors
    /// If it cannot.
    pub fn forgettable(&self, campaign: &CampaignId) -> Result<&Campaign, ForgetError> {
        self.forgettable_unless(campaign, |_| true)
    }

    /// The same where only some workers may still be at work.
    pub(crate) fn forgettable_unless(
        &self,
        campaign: &CampaignId,
        may_work: impl Fn(&WorkerId) -> bool,
    ) -> Result<&Campaign, ForgetError> {
        let known = self.campaign(campaign).ok_or(ForgetError::Unknown)?;
        if !known.has_ended() && !known.is_cancelled() {
            return Err(ForgetError::Open);
        }
        let runs = |stage: &StageKey| matches!(self.stage_state(stage), Some(StageState::Running { worker, .. }) if may_work(worker));
        match self.only_of(campaign).into_iter().find(runs) {
            Some(stage) => Err(ForgetError::Running { stage }),
            None => Ok(known),
        }
    }

    /// The datasets that these stages and evaluations read.
    #[must_use]
    pub fn datasets(&self, which: impl Fn(&StageKey) -> bool) -> BTreeSet<DatasetId> {
        let works = self.nodes().map(|(work, _)| work).filter(|work| which(&work.key()));
        let dataset = |work: &Work| match work {
            Work::Train(stage) => stage.spec.data.dataset,
            Work::Evaluate(evaluation) => evaluation.spec.task.dataset,
        };
        works.map(dataset).collect()
    }

    /// The stages and evaluations that no other campaign has, be it wanted or cancelled, in the plan's order.
    #[must_use]
    pub fn only_of(&self, campaign: &CampaignId) -> Vec<StageKey> {
        let Some(known) = self.campaign(campaign) else { return Vec::new() };
        let others = self.campaigns().filter(|other| other.plan().campaign != *campaign);
        let shared: BTreeSet<StageKey> = others.flat_map(|other| other.plan().keys()).collect();
        known.plan().keys().filter(|key| !shared.contains(key)).collect()
    }
}
