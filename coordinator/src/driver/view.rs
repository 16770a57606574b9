//! How things stand, for whoever looks: the scheduler, the conversations and what is known besides, at one moment.

use std::collections::BTreeMap;

use scheduler::{CampaignStatus, Scheduler, Slot, StageState, StageStatus};
use vocabulary::{CampaignId, Plan, Stage, StageKey, Tokens, WorkerId};

use super::conversation::Conversation;
use super::index::Index;
use super::from_worker::Progress;
use super::input::RequestError;

/// Things that are known besides the scheduler's state, and decide nothing.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// When each campaign was first submitted, in milliseconds since 1970.
    pub(crate) submitted_at_ms: BTreeMap<CampaignId, u64>,
}

/// How things stand.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) scheduler: &'a Scheduler,
    pub(crate) conversations: &'a BTreeMap<WorkerId, Conversation>,
    pub(crate) notes: &'a Notes,
    pub(crate) index: &'a Index,
}

/// A campaign as people see it.
#[derive(Debug, Clone)]
pub(crate) struct CampaignView<'a> {
    pub(crate) status: CampaignStatus,
    pub(crate) plan: &'a Plan,
    pub(crate) submitted_at_ms: u64,
    pub(crate) tokens: Tokens,
    pub(crate) tokens_done: Tokens,
    /// Committed checkpoints of its stages that were found damaged or gone.
    pub(crate) damaged_checkpoints: usize,
}

/// A worker as people see it.
#[derive(Debug, Clone)]
pub(crate) struct WorkerView<'a> {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) is_connected: bool,
    pub(crate) stage: Option<&'a Stage>,
    pub(crate) progress: Option<Progress>,
}

impl<'a> View<'a> {
    /// The campaign that a selector means: an identifier, a name (the latest of that name), or the beginning of exactly
    /// one identifier.
    pub(crate) fn find(&self, selector: &str) -> Result<CampaignId, RequestError> {
        let unknown = || RequestError::UnknownCampaign { selector: selector.to_owned() };
        if selector.is_empty() {
            return Err(unknown());
        }
        let plans = || self.scheduler.ledger().campaigns().map(|campaign| campaign.plan());
        if let Some(plan) = plans().find(|plan| plan.campaign.to_string() == selector) {
            return Ok(plan.campaign);
        }
        let named = plans().filter(|plan| plan.name == selector).map(|plan| plan.campaign);
        if let Some(campaign) = named.max_by_key(|campaign| (self.submitted_at_ms(campaign), *campaign)) {
            return Ok(campaign);
        }
        let begin_so: Vec<_> =
            plans().map(|plan| plan.campaign).filter(|campaign| campaign.to_string().starts_with(selector)).collect();
        match begin_so.as_slice() {
            [] => Err(unknown()),
            [campaign] => Ok(*campaign),
            several => Err(RequestError::AmbiguousCampaign {
                selector: selector.to_owned(),
                candidates: several.iter().take(8).map(ToString::to_string).collect(),
            }),
        }
    }

    /// The stages of a campaign that selectors mean: keys or beginnings of exactly one. All of them where there is none.
    pub(crate) fn find_stages(
        &self,
        campaign: &CampaignId,
        selectors: &[String],
    ) -> Result<Vec<StageKey>, RequestError> {
        let keys: Vec<_> =
            self.scheduler.plan(campaign).into_iter().flat_map(|plan| &plan.stages).map(|stage| stage.key).collect();
        if selectors.is_empty() {
            return Ok(keys);
        }
        let find = |selector: &String| {
            if selector.is_empty() {
                return Err(RequestError::UnknownStage { selector: selector.clone() });
            }
            let found: Vec<_> = keys.iter().filter(|key| key.to_string().starts_with(selector.as_str())).collect();
            match found.as_slice() {
                [key] => Ok(**key),
                [] => Err(RequestError::UnknownStage { selector: selector.clone() }),
                several => Err(RequestError::AmbiguousStage { selector: selector.clone(), count: several.len() }),
            }
        };
        selectors.iter().map(find).collect()
    }

    /// The stage of any campaign that a selector means: its key, or the beginning of exactly one.
    pub(crate) fn find_stage(&self, selector: &str) -> Result<StageKey, RequestError> {
        let keys = self.scheduler.ledger().stages().map(|(stage, _)| stage.key);
        let found: Vec<_> = keys.filter(|key| !selector.is_empty() && key.to_string().starts_with(selector)).collect();
        match found.as_slice() {
            [key] => Ok(*key),
            [] => Err(RequestError::NoStage { selector: selector.to_owned() }),
            several => Err(RequestError::SeveralStages { selector: selector.to_owned(), count: several.len() }),
        }
    }

    /// Every campaign, in the order of submission.
    pub(crate) fn campaigns(&self) -> Vec<CampaignView<'a>> {
        let plans = self.scheduler.ledger().campaigns().map(|campaign| campaign.plan());
        let mut campaigns: Vec<_> = plans.filter_map(|plan| self.campaign(&plan.campaign)).collect();
        campaigns.sort_by_key(|campaign| (campaign.submitted_at_ms, campaign.status.campaign));
        campaigns
    }

    /// One campaign.
    pub(crate) fn campaign(&self, campaign: &CampaignId) -> Option<CampaignView<'a>> {
        let plan = self.scheduler.plan(campaign)?;
        Some(CampaignView {
            status: self.scheduler.campaign_status(campaign)?,
            plan,
            submitted_at_ms: self.submitted_at_ms(campaign),
            tokens: plan.stages.iter().map(|stage| stage.spec.tokens()).sum(),
            tokens_done: plan.stages.iter().map(|stage| self.tokens_done(stage)).sum(),
            damaged_checkpoints: plan.stages.iter().map(|stage| self.damaged_checkpoints(&stage.key).count()).sum(),
        })
    }

    /// How a stage is doing.
    pub(crate) fn stage(&self, stage: &StageKey) -> Option<StageStatus> {
        self.scheduler.stage_status(stage)
    }

    /// Every worker that is known to live.
    pub(crate) fn workers(&self) -> Vec<WorkerView<'a>> {
        let view = |status: scheduler::WorkerStatus| {
            let conversation = self.conversations.get(&status.worker);
            let busy = match status.slot {
                Slot::Busy { stage, attempt } | Slot::Dropping { stage, attempt } => Some((stage, attempt)),
                Slot::Idle | Slot::Leaving | Slot::Resting => None,
            };
            WorkerView {
                worker: status.worker,
                name: status.name,
                device: conversation.map(|conversation| conversation.device.clone()).unwrap_or_default(),
                is_connected: conversation.is_some_and(Conversation::is_connected),
                stage: busy.and_then(|(stage, _)| self.scheduler.stage(&stage)),
                progress: busy
                    .zip(conversation)
                    .and_then(|((stage, attempt), conversation)| conversation.progress_of(stage, attempt)),
            }
        };
        let mut workers: Vec<_> = self.scheduler.workers().map(view).collect();
        workers.sort_by(|a, b| (&a.name, a.worker).cmp(&(&b.name, b.worker)));
        workers
    }

    /// The committed checkpoints of a stage that were found damaged or gone.
    pub(crate) fn damaged_checkpoints(&self, stage: &StageKey) -> impl Iterator<Item = u64> + use<'a> {
        self.scheduler.ledger().damaged_checkpoints(stage)
    }

    fn submitted_at_ms(&self, campaign: &CampaignId) -> u64 {
        self.notes.submitted_at_ms.get(campaign).copied().unwrap_or_default()
    }

    /// Tokens of a stage that were trained: by its checkpoint, or by what its worker says, which may be further.
    fn tokens_done(&self, stage: &Stage) -> Tokens {
        let Some(status) = self.scheduler.stage_status(&stage.key) else { return Tokens(0) };
        let trained_to = match status.state {
            StageState::Completed { .. } => stage.spec.end_step,
            StageState::Diverged { step, .. } => step,
            StageState::Running { worker, attempt } => {
                let progress = self.conversations.get(&worker).and_then(|known| known.progress_of(stage.key, attempt));
                let latest = progress.and_then(|progress| progress.latest).map_or(0, |point| point.step + 1);
                status.checkpoint.unwrap_or(0).max(latest)
            }
            _ => status.checkpoint.unwrap_or(0),
        };
        let steps = trained_to.min(stage.spec.end_step).saturating_sub(stage.spec.start_step);
        Tokens(steps * stage.spec.batch.tokens())
    }
}
