//! The driver's state at one moment: the scheduler, the conversations, and what is known besides.

use std::collections::BTreeMap;

use scheduler::Scheduler;
use vocabulary::{AttemptKey, CampaignId, StageKey, WorkerId};

use super::conversation::Conversation;
use super::from_worker::Progress;
use super::index::Index;
use super::request_error::RequestError;

/// Known besides the scheduler's state, for display. No decision depends on it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// When each campaign was first submitted, in milliseconds since 1970.
    pub(crate) submitted_at_ms: BTreeMap<CampaignId, u64>,
    /// Why pools have no worker and will have none, a sentence each.
    pub(crate) pools_gone: Vec<String>,
}

/// A look at all of it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) scheduler: &'a Scheduler,
    pub(super) conversations: &'a BTreeMap<WorkerId, Conversation>,
    pub(super) notes: &'a Notes,
    pub(crate) index: &'a Index,
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

    /// The stages of a campaign that selectors mean: keys, or beginnings of exactly one. Without selectors, all stages.
    pub(crate) fn find_stages(&self, campaign: &CampaignId, selectors: &[&str]) -> Result<Vec<StageKey>, RequestError> {
        let keys: Vec<_> =
            self.scheduler.plan(campaign).into_iter().flat_map(|plan| &plan.stages).map(|stage| stage.key).collect();
        if selectors.is_empty() {
            return Ok(keys);
        }
        let find = |selector: &&str| {
            if selector.is_empty() {
                return Err(RequestError::UnknownStage { selector: (*selector).to_owned() });
            }
            let found: Vec<_> = keys.iter().filter(|key| key.to_string().starts_with(selector)).collect();
            match found.as_slice() {
                [key] => Ok(**key),
                [] => Err(RequestError::UnknownStage { selector: (*selector).to_owned() }),
                several => Err(RequestError::AmbiguousStage { selector: (*selector).to_owned(), count: several.len() }),
            }
        };
        selectors.iter().map(find).collect()
    }

    /// The stage of any campaign that a selector means: its key, or the beginning of exactly one.
    pub(crate) fn find_stage(&self, selector: &str) -> Result<StageKey, RequestError> {
        let keys = self.scheduler.ledger().nodes().filter_map(|(work, _)| Some(work.stage()?.key));
        let found: Vec<_> = keys.filter(|key| !selector.is_empty() && key.to_string().starts_with(selector)).collect();
        match found.as_slice() {
            [key] => Ok(*key),
            [] => Err(RequestError::NoStage { selector: selector.to_owned() }),
            several => Err(RequestError::SeveralStages { selector: selector.to_owned(), count: several.len() }),
        }
    }

    /// Every campaign, in the order of submission.
    pub(crate) fn submitted(&self) -> Vec<CampaignId> {
        let mut campaigns: Vec<_> =
            self.scheduler.ledger().campaigns().map(|campaign| campaign.plan().campaign).collect();
        campaigns.sort_by_key(|campaign| (self.submitted_at_ms(campaign), *campaign));
        campaigns
    }

    /// When a campaign was first submitted, in milliseconds since 1970; zero where nobody noted it.
    pub(crate) fn submitted_at_ms(&self, campaign: &CampaignId) -> u64 {
        self.notes.submitted_at_ms.get(campaign).copied().unwrap_or_default()
    }

    /// Why pools have no worker and will have none, a sentence each.
    pub(crate) fn pools_gone(&self) -> &'a [String] {
        &self.notes.pools_gone
    }

    /// The device of a worker, as it calls it; empty where that is unknown.
    pub(crate) fn device(&self, worker: &WorkerId) -> &'a str {
        self.conversations.get(worker).map_or("", |conversation| &conversation.device)
    }

    /// Whether a worker has a connection now.
    pub(crate) fn is_connected(&self, worker: &WorkerId) -> bool {
        self.conversations.get(worker).is_some_and(Conversation::is_connected)
    }

    /// Why the checkpoint that an attempt reported last cannot be read so far.
    pub(crate) fn trouble(&self, worker: &WorkerId, key: AttemptKey) -> Option<&'a str> {
        self.conversations.get(worker)?.trouble(key)
    }

    /// How far an attempt is, by what its worker says.
    pub(crate) fn progress(&self, worker: &WorkerId, key: AttemptKey) -> Option<&'a Progress> {
        self.conversations.get(worker)?.progress_of(key)
    }
}
