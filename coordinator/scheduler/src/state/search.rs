//! Searches: campaigns that choose further trials by their results.

use recipes::search::{Outcome, Progress, grow};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{CampaignId, Growth, Measurements, StageKey};

use super::ledger::Ledger;
use super::stage::{DeadEnd, StageState};
use crate::fact::Fact;

impl Ledger {
    /// The outcome of a stage, for a search. A stage that is trained again because its checkpoint was lost keeps its result.
    #[must_use]
    pub fn outcome(&self, stage: &StageKey) -> Option<Outcome> {
        let record = self.record(stage)?;
        let completed = |result: &Measurements| Some(Outcome::Completed { loss: result.get(VALIDATION_LOSS) });
        match &record.state {
            StageState::Completed { result, .. } => completed(result),
            StageState::Diverged { .. } | StageState::NotRun { because: DeadEnd::Diverged, .. } => {
                Some(Outcome::Diverged)
            }
            _ if record.first_result.is_some() => completed(record.first_result.as_ref()?),
            StageState::Failed { .. } | StageState::NotRun { because: DeadEnd::Failed, .. } => Some(Outcome::Failed),
            StageState::Waiting | StageState::Running { .. } => None,
        }
    }

    /// The progress of a search; `None` if the campaign is not one.
    #[must_use]
    pub fn search_progress(&self, campaign: &CampaignId) -> Option<Progress> {
        let plan = self.campaign(campaign)?.plan();
        Some(grow(plan.search.as_ref()?, &plan.trials, |stage| self.outcome(stage)))
    }

    /// What a wanted search has to add, by the outcomes of its stages.
    pub(crate) fn search_growth(&self, campaign: &CampaignId) -> Option<Growth> {
        let known = self.campaign(campaign).filter(|known| !known.is_cancelled())?;
        let Progress { trials, stages, .. } = self.search_progress(campaign)?;
        let growth = Growth { trials, stages, ..Growth::nothing(*campaign) };
        Some(growth.beyond(known.plan())).filter(|growth| !growth.is_empty())
    }

    /// The searches that may have something to choose after a fact.
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
