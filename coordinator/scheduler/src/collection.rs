//! Which committed checkpoints something needs, by reachability. The others may be collected.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Keep, Plan, StageKey, StageRole};

use crate::state::ledger::Ledger;
use crate::state::stage::{StageRecord, StageState};

/// Why a committed checkpoint stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Other stages start from it, or may: it is the last of a stage that has children, or of a trunk.
    BranchPoint,
    /// It is a trial's result.
    Result,
    /// An unfinished stage resumes from it.
    Newest,
    /// An evaluation that is not done starts from it.
    Evaluation,
}

/// What holds checkpoints at one moment.
///
/// What an attempt reads is held: it starts from the newest checkpoint of its stage or the last one of its parent, and once a
/// newer one is committed it has started. What an attempt writes is not committed yet, so it does not appear here.
#[derive(Debug)]
pub struct Holds<'a> {
    ledger: &'a Ledger,
    /// Stages whose result is not kept, by the recipe of every campaign that wants them.
    dispensable: BTreeSet<StageKey>,
}

impl Ledger {
    /// The holds on checkpoints now.
    #[must_use]
    pub fn holds(&self) -> Holds<'_> {
        let mut dispensable = BTreeSet::new();
        let mut kept = BTreeSet::new();
        for campaign in self.campaigns() {
            let last = campaign.plan().trials.iter().map(|trial| *trial.last_stage());
            if campaign.plan().checkpoints.keep == Keep::Best && campaign.has_ended() {
                kept.extend(self.best(campaign.plan()));
                dispensable.extend(last);
            } else {
                kept.extend(last);
            }
        }
        dispensable.retain(|stage| !kept.contains(stage));
        Holds { ledger: self, dispensable }
    }

    /// The last stage of the best trial of each size.
    fn best(&self, plan: &Plan) -> impl Iterator<Item = StageKey> {
        let mut best: BTreeMap<&str, (f64, StageKey)> = BTreeMap::new();
        for trial in plan.trials.iter().filter(|trial| plan.is_whole(trial)) {
            let Some(StageState::Completed { result, .. }) = self.stage_state(trial.last_stage()) else { continue };
            let loss = result.get(VALIDATION_LOSS).unwrap_or(f64::INFINITY);
            let known = best.entry(&trial.size).or_insert((loss, *trial.last_stage()));
            if loss < known.0 {
                *known = (loss, *trial.last_stage());
            }
        }
        best.into_values().map(|(_, stage)| stage).collect::<Vec<_>>().into_iter()
    }
}

impl Holds<'_> {
    /// Why a committed checkpoint stays; `None` where nothing needs it.
    #[must_use]
    pub fn of(&self, stage: &StageKey, step: u64) -> Option<Hold> {
        let record = self.ledger.record(stage)?;
        match record.state {
            StageState::Completed { .. } if Some(step) == record.end_step() => self.of_last(record),
            StageState::Completed { .. } | StageState::Diverged { .. } | StageState::NotRun { .. } => None,
            StageState::Waiting | StageState::Running { .. } | StageState::Failed { .. } => {
                (record.latest_checkpoint() == Some(step)).then_some(Hold::Newest)
            }
        }
    }

    fn of_last(&self, record: &StageRecord) -> Option<Hold> {
        let children = || record.children.iter().filter_map(|child| self.ledger.record(child));
        let is_trunk = record.work.stage().is_some_and(|stage| stage.role == StageRole::Trunk);
        if is_trunk || children().any(|child| child.work.stage().is_some()) {
            Some(Hold::BranchPoint)
        } else if !self.dispensable.contains(&record.key()) {
            Some(Hold::Result)
        } else {
            children().any(StageRecord::may_start_yet).then_some(Hold::Evaluation)
        }
    }
}
