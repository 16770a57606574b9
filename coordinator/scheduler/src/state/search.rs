//! Searches: campaigns that decide by their results what else there is to train.

use recipes::search::{Outcome, Progress, grow};
use vocabulary::{CampaignId, Growth, StageKey};

use super::ledger::Ledger;
use super::stage::{DeadEnd, StageState};
use crate::fact::Fact;

impl Ledger {
    /// What a stage came to, as far as a search is concerned. One that is trained again, because its checkpoint was lost,
    /// keeps the result it had.
    #[must_use]
    pub fn outcome(&self, stage: &StageKey) -> Option<Outcome> {
        let record = self.record(stage)?;
        let completed = |loss| Some(Outcome::Completed { loss });
        match &record.state {
            StageState::Completed { result, .. } => completed(result.validation_loss),
            StageState::Diverged { .. } | StageState::NotRun { because: DeadEnd::Diverged, .. } => {
                Some(Outcome::Diverged)
            }
            _ if record.first_result.is_some() => completed(record.first_result?.validation_loss),
            StageState::Failed { .. } | StageState::NotRun { because: DeadEnd::Failed, .. } => Some(Outcome::Failed),
            StageState::Waiting | StageState::Running { .. } => None,
        }
    }

    /// How far a search has come; `None` where the campaign is none.
    #[must_use]
    pub fn search_progress(&self, campaign: &CampaignId) -> Option<Progress> {
        let plan = self.campaign(campaign)?.plan();
        Some(grow(plan.search.as_ref()?, &plan.trials, |stage| self.outcome(stage)))
    }

    /// What a search that is wanted has to grow by, after what has become of its stages.
    pub(crate) fn search_growth(&self, campaign: &CampaignId) -> Option<Growth> {
        let known = self.campaign(campaign).filter(|known| !known.is_cancelled())?;
        let Progress { trials, stages, .. } = self.search_progress(campaign)?;
        let growth = Growth { campaign: *campaign, trials, stages, order: Vec::new(), search_trials: None };
        Some(growth.beyond(known.plan())).filter(|growth| !growth.is_empty())
    }

    /// The searches that may have something to decide after a fact.
    pub(crate) fn searches_after(&self, fact: &Fact) -> Vec<CampaignId> {
        let concerned: Vec<CampaignId> = match fact {
            Fact::CampaignAccepted { plan } => vec![plan.campaign],
            Fact::CampaignGrown { growth } => vec![growth.campaign],
            Fact::StageCompleted { stage, .. }
            | Fact::StageDiverged { stage, .. }
            | Fact::StagePoisoned { stage, .. }
            | Fact::AttemptEnded { stage, .. } => {
                let settled = self.stage_state(stage).is_some_and(|state| !state.is_open());
                self.wanted_by(stage).filter(|_| settled).map(|campaign| campaign.plan().campaign).collect()
            }
            _ => Vec::new(),
        };
        let is_search =
            |campaign: &CampaignId| self.campaign(campaign).is_some_and(|campaign| campaign.plan().search.is_some());
        concerned.into_iter().filter(is_search).collect()
    }
}
