//! The state at one moment: the scheduler, the workers' progress, and what is known besides.
//!
//! A view is a copy that shares with the driver what neither changes. Making one takes the driver as long however many stages
//! there are; what is read from it afterwards holds up nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use scheduler::{Hold, Scheduler};
use vocabulary::{AttemptKey, CampaignId, Place, StageKey, WorkerId};

use super::from_worker::Progress;
use super::index::{Index, Indexed};
use super::request_error::RequestError;

/// Known besides the scheduler's state, for display. No decision depends on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    /// When each campaign was first submitted, in milliseconds since 1970.
    pub(crate) submitted_at_ms: BTreeMap<CampaignId, u64>,
    /// Why pools have no worker and will have none, a sentence each.
    pub(crate) pools_gone: Vec<String>,
}

/// A worker as its conversation shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    pub(crate) device: String,
    pub(crate) place: Place,
    /// How long this process has known it.
    pub(crate) known_for: Duration,
    pub(crate) is_connected: bool,
    pub(crate) progress: Option<Progress>,
    /// Why the checkpoint that an attempt reported last cannot be read so far.
    pub(crate) trouble: Option<(AttemptKey, String)>,
}

/// See the [module's page](self).
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) scheduler: Scheduler,
    pub(super) heard: BTreeMap<WorkerId, Heard>,
    pub(super) notes: Arc<Notes>,
    pub(crate) index: Index,
}

/// A committed checkpoint and why it stays, if it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckpointStatus {
    pub(crate) checkpoint: Indexed,
    pub(crate) hold: Option<Hold>,
}

/// The campaign that a selector means: an identifier, a name (the latest of that name), or the beginning of exactly one
/// identifier.
pub(super) fn find(scheduler: &Scheduler, notes: &Notes, selector: &str) -> Result<CampaignId, RequestError> {
    let unknown = || RequestError::UnknownCampaign { selector: selector.to_owned(), similar: None };
    if selector.is_empty() {
        return Err(unknown());
    }
    let plans = || scheduler.ledger().campaigns().map(|campaign| campaign.plan());
    if let Ok(campaign) = selector.parse()
        && scheduler.ledger().campaign(&campaign).is_some()
    {
        return Ok(campaign);
    }
    let named = plans().filter(|plan| plan.name == selector).map(|plan| plan.campaign);
    if let Some(campaign) = named.max_by_key(|campaign| (notes.submitted_at_ms(campaign), *campaign)) {
        return Ok(campaign);
    }
    let begin_so: Vec<_> =
        plans().map(|plan| plan.campaign).filter(|campaign| campaign.to_string().starts_with(selector)).collect();
    match begin_so.as_slice() {
        [] => {
            let similar = recipes::nearest(selector, plans().map(|plan| plan.name.as_str()));
            Err(RequestError::UnknownCampaign { selector: selector.to_owned(), similar })
        }
        [campaign] => Ok(*campaign),
        several => Err(RequestError::AmbiguousCampaign {
            selector: selector.to_owned(),
            candidates: several.iter().take(8).map(ToString::to_string).collect(),
        }),
    }
}

impl Notes {
    /// When a campaign was first submitted, in milliseconds since 1970; zero where nobody noted it.
    fn submitted_at_ms(&self, campaign: &CampaignId) -> u64 {
        self.submitted_at_ms.get(campaign).copied().unwrap_or_default()
    }
}

impl View {
    /// A scheduler's state and the progress of its workers, for tests.
    #[cfg(test)]
    pub(crate) fn of(scheduler: Scheduler, progress: BTreeMap<WorkerId, Progress>) -> Self {
        let heard = |progress| Heard { is_connected: true, progress: Some(progress), ..Heard::default() };
        let heard = progress.into_iter().map(|(worker, progress)| (worker, heard(progress))).collect();
        Self { scheduler, heard, notes: Arc::default(), index: Index::default() }
    }

    /// The campaign that a selector means: an identifier, a name (the latest of that name), or the beginning of exactly
    /// one identifier.
    pub(crate) fn find(&self, selector: &str) -> Result<CampaignId, RequestError> {
        find(&self.scheduler, &self.notes, selector)
    }

    /// Like [`View::find`], for changes that cannot be undone: refuses a name that several campaigns share.
    pub(crate) fn find_only(&self, selector: &str) -> Result<CampaignId, RequestError> {
        let campaigns = self.scheduler.ledger().campaigns().map(|campaign| campaign.plan());
        let named: Vec<String> =
            campaigns.filter(|plan| plan.name == selector).map(|plan| plan.campaign.to_string()).collect();
        if named.len() > 1 {
            return Err(RequestError::SeveralCampaigns { name: selector.to_owned(), candidates: named });
        }
        self.find(selector)
    }

    /// The stages of a campaign that selectors mean: keys, or beginnings of exactly one. Without selectors, all stages.
    pub(crate) fn find_stages(&self, campaign: &CampaignId, selectors: &[&str]) -> Result<Vec<StageKey>, RequestError> {
        let mut keys: Vec<_> =
            self.scheduler.plan(campaign).into_iter().flat_map(|plan| &plan.stages).map(|stage| stage.key).collect();
        if selectors.is_empty() {
            return Ok(keys);
        }
        keys.sort_unstable();
        let find = |selector: &&str| {
            let selector = (*selector).to_owned();
            match within(&keys, &selector) {
                [key] => Ok(*key),
                [] => Err(RequestError::UnknownStage { selector }),
                several => Err(RequestError::AmbiguousStage { selector, count: several.len() }),
            }
        };
        selectors.iter().map(find).collect()
    }

    /// The stage of any campaign that a selector means: its key, or the beginning of exactly one.
    pub(crate) fn find_stage(&self, selector: &str) -> Result<StageKey, RequestError> {
        let nodes = StageKey::beginning_with(selector).map(|bounds| self.scheduler.ledger().nodes_within(bounds));
        let found: Vec<_> = nodes.into_iter().flatten().filter_map(|work| Some(work.stage()?.key)).collect();
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
        self.notes.submitted_at_ms(campaign)
    }

    /// Why pools have no worker and will have none, a sentence each.
    pub(crate) fn pools_gone(&self) -> &[String] {
        &self.notes.pools_gone
    }

    /// The device of a worker, as it calls it; empty where that is unknown.
    pub(crate) fn device(&self, worker: &WorkerId) -> &str {
        self.heard.get(worker).map_or("", |heard| &heard.device)
    }

    /// Where a worker runs, as far as it says.
    pub(crate) fn place(&self, worker: &WorkerId) -> Place {
        self.heard.get(worker).map(|heard| heard.place.clone()).unwrap_or_default()
    }

    /// How long this process has known a worker.
    pub(crate) fn known_for(&self, worker: &WorkerId) -> Duration {
        self.heard.get(worker).map_or(Duration::ZERO, |heard| heard.known_for)
    }

    /// Whether a worker has a connection now.
    pub(crate) fn is_connected(&self, worker: &WorkerId) -> bool {
        self.heard.get(worker).is_some_and(|heard| heard.is_connected)
    }

    /// Why the checkpoint that an attempt reported last cannot be read so far.
    pub(crate) fn trouble(&self, worker: &WorkerId, key: AttemptKey) -> Option<&str> {
        let (of, trouble) = self.heard.get(worker)?.trouble.as_ref()?;
        (*of == key).then_some(trouble)
    }

    /// How far an attempt is, by what its worker says.
    pub(crate) fn progress(&self, worker: &WorkerId, key: AttemptKey) -> Option<&Progress> {
        self.heard.get(worker)?.progress.as_ref().filter(|progress| progress.key == key)
    }

    /// The committed checkpoints of a campaign's stages, or of all.
    pub(crate) fn checkpoints(&self, campaign: Option<&CampaignId>) -> Vec<CheckpointStatus> {
        let holds = self.scheduler.ledger().holds();
        let plan = campaign.and_then(|campaign| self.scheduler.plan(campaign));
        let of_plan: Option<BTreeSet<StageKey>> = plan.map(|plan| plan.stages.iter().map(|stage| stage.key).collect());
        let asked_for = |indexed: &&Indexed| of_plan.as_ref().is_none_or(|stages| stages.contains(&indexed.stage));
        let listed = |checkpoint: &Indexed| CheckpointStatus {
            checkpoint: *checkpoint,
            hold: holds.of(&checkpoint.stage, checkpoint.step),
        };
        self.index.all().filter(asked_for).map(listed).collect()
    }
}

/// Those of these keys, which are in order, that begin so.
fn within<'a>(keys: &'a [StageKey], selector: &str) -> &'a [StageKey] {
    let Some(bounds) = StageKey::beginning_with(selector) else { return &[] };
    let bounds: RangeInclusive<StageKey> = bounds;
    let from = keys.partition_point(|key| key < bounds.start());
    let to = keys.partition_point(|key| key <= bounds.end());
    &keys[from..to]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_that_begin_so_are_those_whose_text_does() {
        let mut keys: Vec<_> = (0..200_u32).map(|number| StageKey::from_content(&number.to_le_bytes())).collect();
        keys.sort_unstable();
        let whole = keys[70].to_string();
        let mut selectors = vec!["s", "stage", "stage_", "stag_", "stage_g", "stage_A", "stages", "", " stage_0"];
        selectors.extend((0..=whole.len()).map(|length| &whole[..length]));
        let longer = format!("{whole}0");
        selectors.push(&longer);
        for selector in selectors {
            let begin_so: Vec<_> =
                keys.iter().filter(|key| !selector.is_empty() && key.to_string().starts_with(selector)).collect();
            assert_eq!(within(&keys, selector).iter().collect::<Vec<_>>(), begin_so, "{selector}");
        }
    }
}
