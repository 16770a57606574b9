//! Which evaluations a campaign gets when somebody asks for some, and which stages cannot be evaluated.

use std::fmt;

use recipes::evaluate::ends_of_trials;
use recipes::{EvaluateError, EvaluationText, evaluations};
use vocabulary::{CampaignId, Evaluation, Growth, StageKey};

use crate::state::ledger::Ledger;
use crate::state::stage::StageState;

/// Evaluations that can be requested.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedEvaluations {
    /// Those that the campaign does not have.
    pub growth: Growth,
    /// How many of what was asked for it has already.
    pub known: usize,
    pub known_done: usize,
    /// Stages that cannot be evaluated.
    pub unevaluable: Vec<(StageKey, Unevaluable)>,
}

/// Why a stage cannot be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unevaluable {
    /// It has no result.
    NotTrained {
        /// What became of it instead.
        state: &'static str,
    },
    /// Its last checkpoint was collected or lost: to evaluate it would be to train it again.
    NoCheckpoint,
}

impl fmt::Display for Unevaluable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTrained { state } => f.write_str(state),
            Self::NoCheckpoint => f.write_str("its last checkpoint is gone"),
        }
    }
}

impl Ledger {
    /// Plans evaluations of these stages of a campaign, or of the last ones of all trials where none is named. `None` where
    /// the campaign is not known.
    ///
    /// # Errors
    /// If the text is not one that the models can read, or the name stands for another text.
    pub fn evaluations(
        &self,
        campaign: &CampaignId,
        stages: &[StageKey],
        text: &EvaluationText<'_>,
    ) -> Option<Result<PlannedEvaluations, EvaluateError>> {
        let known_campaign = self.campaign(campaign)?;
        let plan = known_campaign.plan();
        let ends = if stages.is_empty() { ends_of_trials(plan) } else { stages.to_vec() };
        Some(evaluations(plan, &ends, text).map(|asked| {
            let all: Vec<StageKey> = asked.evaluations.iter().map(|evaluation| evaluation.key).collect();
            let mut growth = known_campaign.beyond(asked);
            let is_new = |key: &StageKey| growth.evaluations.iter().any(|new| new.key == *key);
            let known: Vec<StageKey> = all.into_iter().filter(|key| !is_new(key)).collect();
            let known_done = known.iter().filter(|key| self.is_done(key)).count();
            let why = |evaluation: &Evaluation| Some((evaluation.parent, self.unevaluable(evaluation)?));
            let unevaluable = growth.evaluations.iter().filter_map(why).collect();
            growth.evaluations.retain(|evaluation| self.unevaluable(evaluation).is_none());
            PlannedEvaluations { growth, known: known.len(), known_done, unevaluable }
        }))
    }

    fn is_done(&self, key: &StageKey) -> bool {
        matches!(self.stage_state(key), Some(StageState::Completed { .. }))
    }

    /// Why an evaluation cannot be done, where it cannot. One that another campaign had done needs nothing, and one of a
    /// stage that is not trained yet waits for it.
    fn unevaluable(&self, evaluation: &Evaluation) -> Option<Unevaluable> {
        let stage = self.record(&evaluation.parent).filter(|_| !self.is_done(&evaluation.key))?;
        match stage.state {
            StageState::Waiting | StageState::Running { .. } => None,
            StageState::Completed { .. } => (!stage.has_final_checkpoint()).then_some(Unevaluable::NoCheckpoint),
            StageState::Diverged { .. } | StageState::Failed { .. } | StageState::NotRun { .. } => {
                Some(Unevaluable::NotTrained { state: stage.state.name() })
            }
        }
    }
}
