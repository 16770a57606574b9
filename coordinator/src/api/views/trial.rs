//! Trials that have ended.

use recipes::search;
use scheduler::{DeadEnd, StageState};
use vocabulary::{CampaignId, Measurements, StageKey, TrialId};

use crate::driver::view::View;

/// How a trial ended, and with what.
#[derive(Debug, Clone)]
pub(crate) struct TrialOutcome {
    pub(crate) trial: TrialId,
    /// The stage that ended it.
    pub(crate) stage: StageKey,
    /// `None` where it diverged.
    pub(crate) result: Option<Measurements>,
    pub(crate) end: TrialEnd,
    /// Steps trained, counted from the root.
    pub(crate) step: u64,
}

/// How a trial ends that has an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrialEnd {
    Completed,
    /// A search ended it early.
    Pruned,
    Diverged,
}

impl TrialOutcome {
    /// The trials of a campaign that ended with a loss or diverged, in the plan's order.
    pub(crate) fn all(view: &View, campaign: &CampaignId) -> Option<Vec<Self>> {
        let plan = view.scheduler.plan(campaign)?;
        let ledger = view.scheduler.ledger();
        let searched = ledger.search_progress(campaign);
        let standings = searched.iter().flat_map(|progress| &progress.standings);
        let pruned: Vec<bool> =
            standings.map(|standing| matches!(standing.end, Some(search::TrialEnd::Pruned { .. }))).collect();
        let outcome = |(index, trial): (usize, &vocabulary::Trial)| {
            let last = *trial.last_stage();
            let is_pruned = pruned.get(index).copied().unwrap_or_default();
            let diverged = |stage, step| Self { trial: trial.id, stage, result: None, end: TrialEnd::Diverged, step };
            match ledger.stage_state(&last)? {
                // A trial that its search has not decided on yet has not ended.
                StageState::Completed { .. } if !is_pruned && !plan.is_whole(trial) => None,
                StageState::Completed { result, .. } => {
                    let end = if is_pruned { TrialEnd::Pruned } else { TrialEnd::Completed };
                    let step = view.scheduler.stage(&last)?.spec.steps.end;
                    Some(Self { trial: trial.id, stage: last, result: Some(result.clone()), end, step })
                }
                StageState::Diverged { step, .. } => Some(diverged(last, step.saturating_add(1))),
                StageState::NotRun { ancestor, because: DeadEnd::Diverged } => {
                    let StageState::Diverged { step, .. } = ledger.stage_state(ancestor)? else { return None };
                    Some(diverged(*ancestor, step.saturating_add(1)))
                }
                _ => None,
            }
        };
        Some(plan.trials.iter().enumerate().filter_map(outcome).collect())
    }
}
