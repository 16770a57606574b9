//! What people and the caller may ask. Questions change nothing.

use std::sync::Arc;

use recipes::search::TrialEnd;
use vocabulary::{Abilities, AttemptKey, CampaignId, Plan, Stage, StageKey, Work, WorkerId};

use crate::explain::{WaitReason, Waits};
use crate::fact::AttemptEnd;
use crate::scheduler::Scheduler;
use crate::state::campaign::Campaign;
use crate::state::ledger::Ledger;
use crate::state::stage::{Counts, DeadEnd, StageState};
use crate::state::worker::Slot;
use crate::time::Timestamp;
use crate::timers::Timer;

/// A stage, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct StageStatus {
    /// What has become of it.
    pub state: StageState,
    /// Why it waits, where it does.
    pub waits: Option<WaitReason>,
    /// When its lease ends unless its worker is heard of, where it runs.
    pub lease_until: Option<Timestamp>,
    /// How often it was handed out.
    pub attempts: u32,
    /// How attempts ended.
    pub counts: Counts,
    /// Steps done at its latest committed checkpoint, counted from the root.
    pub checkpoint: Option<u64>,
    /// How its last attempt ended, where that is why it is not done.
    pub last_end: Option<AttemptEnd>,
}

/// Whether a campaign is wanted and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignPhase {
    /// Something of it is still to be trained.
    Open,
    /// Nothing is. The counts say how it ended.
    Ended,
    Cancelled,
}

/// How many stages, or evaluations, of a campaign are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageCounts {
    /// Nobody trains it yet.
    pub waiting: usize,
    /// A worker has it.
    pub running: usize,
    /// Trained.
    pub completed: usize,
    /// Its loss left all bounds.
    pub diverged: usize,
    /// Given up.
    pub failed: usize,
    /// Below one that diverged or was given up.
    pub not_run: usize,
}

/// How many trials of a campaign have ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrialCounts {
    /// Not ended.
    pub open: usize,
    /// With a loss.
    pub completed: usize,
    /// A stage on its path diverged.
    pub diverged: usize,
    /// A stage on its path was given up.
    pub failed: usize,
    /// A search ended it early.
    pub pruned: usize,
}

/// A campaign, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignStatus {
    pub campaign: CampaignId,
    pub name: String,
    /// Whether it is wanted and over.
    pub phase: CampaignPhase,
    /// Its stages, those shared with other campaigns included.
    pub stages: StageCounts,
    /// Its evaluations, likewise.
    pub evaluations: StageCounts,
    pub trials: TrialCounts,
}

/// A worker, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStatus {
    pub worker: WorkerId,
    pub name: String,
    /// Memory of its device, where it is known.
    pub memory_bytes: Option<u64>,
    /// What it can do.
    pub can: Abilities,
    /// What its slot is taken by.
    pub slot: Slot,
    /// Why it is given nothing, where that is so although its slot may be empty.
    pub held_back: Option<String>,
    /// Until when, where it is a rest.
    pub rests_until: Option<Timestamp>,
    /// When it is taken for gone unless it is heard of.
    pub silent_at: Option<Timestamp>,
}

impl Scheduler {
    /// All that outlives the process.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A stage or an evaluation: its spec and parent.
    #[must_use]
    pub fn work(&self, key: &StageKey) -> Option<&Work> {
        self.ledger.record(key).map(|record| &record.work)
    }

    /// The stage of a key, where it is that of one to train.
    #[must_use]
    pub fn stage(&self, stage: &StageKey) -> Option<&Stage> {
        self.work(stage)?.stage()
    }

    /// The stages that could be handed out now if there were a worker for each, the first to be handed out first.
    #[must_use]
    pub fn ready(&self) -> Vec<StageKey> {
        self.ready.in_order(|stage, campaign| self.charge_of(stage, campaign))
    }

    /// The plan of a campaign.
    #[must_use]
    pub fn plan(&self, campaign: &CampaignId) -> Option<&Plan> {
        self.ledger.campaign(campaign).map(Campaign::plan)
    }

    /// The plan of a campaign, to be kept.
    #[must_use]
    pub fn shared_plan(&self, campaign: &CampaignId) -> Option<Arc<Plan>> {
        self.ledger.campaign(campaign).map(|known| Arc::clone(&known.plan))
    }

    /// How a stage is doing. Whoever asks for many uses [`Self::waits`].
    #[must_use]
    pub fn stage_status(&self, stage: &StageKey) -> Option<StageStatus> {
        self.waits().stage_status(stage)
    }

    /// How a campaign is doing.
    #[must_use]
    pub fn campaign_status(&self, campaign: &CampaignId) -> Option<CampaignStatus> {
        let known = self.ledger.campaign(campaign)?;
        let phase = match known {
            known if known.is_cancelled() => CampaignPhase::Cancelled,
            known if known.has_ended() => CampaignPhase::Ended,
            _ => CampaignPhase::Open,
        };
        let plan = known.plan();
        let state = |stage: &StageKey| self.ledger.stage_state(stage);
        let count = |keys: &mut dyn Iterator<Item = StageKey>| {
            let mut counts = StageCounts::default();
            for (key, state) in keys.filter_map(|key| Some((key, state(&key)?))) {
                // Nothing that was cancelled waits, unless another campaign wants it, and then not for this one.
                let is_left = !known.wants(&key) && *state == StageState::Waiting;
                *(if is_left { &mut counts.not_run } else { counts.of(state) }) += 1;
            }
            counts
        };
        let stages = count(&mut plan.stages.iter().map(|stage| stage.key));
        let evaluations = count(&mut plan.evaluations.iter().map(|evaluation| evaluation.key));
        let mut trials = TrialCounts::default();
        match self.ledger.search_progress(campaign) {
            Some(progress) => {
                let ends = progress.standings.iter().map(|standing| standing.end);
                ends.for_each(|end| *trials.of_search(end) += 1);
                trials.open += plan.trials_in_the_end().saturating_sub(progress.standings.len());
            }
            None => {
                for state in plan.trials.iter().filter_map(|trial| state(trial.last_stage())) {
                    *trials.of(state) += 1;
                }
            }
        }
        Some(CampaignStatus { campaign: *campaign, name: plan.name.clone(), phase, stages, evaluations, trials })
    }

    /// All campaigns that were ever accepted.
    pub fn campaigns(&self) -> impl Iterator<Item = CampaignStatus> {
        self.ledger.campaigns().filter_map(|campaign| self.campaign_status(&campaign.plan().campaign))
    }

    /// A number that changes whenever something that is recorded of a campaign does. It starts anew with each process.
    #[must_use]
    pub fn version(&self, campaign: &CampaignId) -> u64 {
        self.versions.get(campaign).copied().unwrap_or_default()
    }

    /// What each worker has by the ledger, be the worker known or (after a restart) not yet.
    pub fn running(&self) -> impl Iterator<Item = (WorkerId, AttemptKey)> {
        self.running_on.iter().filter_map(|(worker, stage)| match self.ledger.stage_state(stage) {
            Some(StageState::Running { attempt, .. }) => {
                Some((*worker, AttemptKey { stage: *stage, attempt: *attempt }))
            }
            _ => None,
        })
    }

    /// When something was handled last: the latest time it knows.
    #[must_use]
    pub fn last_handled(&self) -> Option<Timestamp> {
        self.last_handled
    }

    /// Whether a worker is known to be alive.
    #[must_use]
    pub fn knows_worker(&self, worker: &WorkerId) -> bool {
        self.workers.contains(worker)
    }

    /// The workers that are known to be alive.
    pub fn workers(&self) -> impl Iterator<Item = WorkerStatus> {
        self.workers.iter().map(|(worker, known)| WorkerStatus {
            worker: *worker,
            name: known.name.clone(),
            memory_bytes: known.memory_bytes,
            can: known.can.clone(),
            slot: known.slot,
            held_back: known.why_held_back(),
            rests_until: known.rest.as_ref().filter(|_| known.unfit.is_none()).map(|rest| rest.until),
            silent_at: self.timers.when(Timer::WorkerSilent(*worker)),
        })
    }
}

impl Waits<'_> {
    /// How a stage is doing.
    #[must_use]
    pub fn stage_status(&self, stage: &StageKey) -> Option<StageStatus> {
        let record = self.scheduler.ledger.record(stage)?;
        Some(StageStatus {
            state: record.state.clone(),
            waits: self.explain(stage),
            lease_until: self.scheduler.timers.when(Timer::LeaseExpired(*stage)),
            attempts: record.attempts,
            counts: record.counts,
            checkpoint: record.latest_checkpoint(),
            last_end: record.last_end.clone(),
        })
    }
}

impl WorkerStatus {
    /// Whether it could be given something now.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slot == Slot::Idle && self.held_back.is_none()
    }
}

impl StageCounts {
    fn of(&mut self, state: &StageState) -> &mut usize {
        match state {
            StageState::Waiting => &mut self.waiting,
            StageState::Running { .. } => &mut self.running,
            StageState::Completed { .. } => &mut self.completed,
            StageState::Diverged { .. } => &mut self.diverged,
            StageState::Failed { .. } => &mut self.failed,
            StageState::NotRun { .. } => &mut self.not_run,
        }
    }
}

impl TrialCounts {
    /// The count of a search's trial that ended so, if it did.
    fn of_search(&mut self, end: Option<TrialEnd>) -> &mut usize {
        match end {
            None => &mut self.open,
            Some(TrialEnd::Completed) => &mut self.completed,
            Some(TrialEnd::Pruned { .. }) => &mut self.pruned,
            Some(TrialEnd::Diverged) => &mut self.diverged,
            Some(TrialEnd::Failed) => &mut self.failed,
        }
    }

    /// The count of a trial whose last stage is in this state.
    fn of(&mut self, last: &StageState) -> &mut usize {
        match last {
            StageState::Waiting | StageState::Running { .. } => &mut self.open,
            StageState::Completed { .. } => &mut self.completed,
            StageState::Diverged { .. } | StageState::NotRun { because: DeadEnd::Diverged, .. } => &mut self.diverged,
            StageState::Failed { .. } | StageState::NotRun { because: DeadEnd::Failed, .. } => &mut self.failed,
        }
    }
}
