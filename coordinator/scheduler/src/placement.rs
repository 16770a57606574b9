//! Which stage is next. The fleet chooses its worker.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vocabulary::{CampaignId, Needs, StageKey};

use crate::shared::SharedMap;
use crate::state::stage::StageRecord;

/// A stage's place in its campaign's queue: the longest critical path first (so the largest models), then the one that was
/// asked for first, then by key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Priority {
    critical_path: f64,
    order: u64,
    stage: StageKey,
}

impl Priority {
    fn of(record: &StageRecord) -> Self {
        Self { critical_path: record.critical_path, order: record.order, stage: record.key() }
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest_first = other.critical_path.total_cmp(&self.critical_path);
        longest_first.then(self.order.cmp(&other.order)).then(self.stage.cmp(&other.stage))
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Priority {}

/// What a worker has to have to be given something: what it has to be able to do, and the memory it needs.
type Demand = (Needs, u64);

/// How much a campaign has been given: operations divided by its weight, beginning at what others had when it came.
#[derive(Debug, Clone, Copy, Default)]
struct Share(f64);

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Share {}

/// A campaign's account.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    given: Share,
    /// How many of its stages and evaluations are in the queue.
    ready: usize,
}

/// A campaign's turn: the one that was given least comes first, and among equals the one with the longest critical path.
type Turn = (Share, Priority, CampaignId);

/// What demands the same of a worker.
#[derive(Debug, Clone, Default)]
struct Lane {
    /// Shared with copies of the queue, as the places are.
    by_campaign: BTreeMap<CampaignId, Arc<BTreeSet<Priority>>>,
    /// A turn for each of these campaigns, with the first of its stages.
    turns: BTreeSet<Turn>,
}

impl Lane {
    fn turn(&self, campaign: CampaignId, given: Share) -> Option<Turn> {
        let first = self.by_campaign.get(&campaign)?.first()?;
        Some((given, *first, campaign))
    }

    /// Changes what a campaign has here.
    fn change(&mut self, campaign: CampaignId, given: Share, change: impl FnOnce(&mut BTreeSet<Priority>)) {
        if let Some(turn) = self.turn(campaign, given) {
            self.turns.remove(&turn);
        }
        let stages = self.by_campaign.entry(campaign).or_default();
        change(Arc::make_mut(stages));
        if stages.is_empty() {
            self.by_campaign.remove(&campaign);
        }
        self.turns.extend(self.turn(campaign, given));
    }

    /// Changes what a campaign was given.
    fn give(&mut self, campaign: CampaignId, before: Share, after: Share) {
        if let Some(turn) = self.turn(campaign, before) {
            self.turns.remove(&turn);
            self.turns.extend(self.turn(campaign, after));
        }
    }
}

/// A stage in the queue.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    demand: Demand,
    priority: Priority,
    campaigns: BTreeSet<CampaignId>,
}

/// Stages and evaluations that could be handed out now.
///
/// Campaigns take turns: whichever was given the fewest operations for its weight is next, and inside a campaign the longest
/// critical path. A campaign that comes, or that had nothing ready for a while, begins where the others are. All campaigns
/// that want a stage have it in their queue, and the one whose turn it was is charged. Shares are not in the log: after a
/// restart all begin equal.
///
/// Stages are kept apart by what they demand of a worker, of which a campaign has a few values for each model size, so that
/// a small worker finds its next stage without walking past all large ones. No operation looks at all stages or campaigns,
/// but for [`in_order`](Self::in_order), which is for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadyQueue {
    /// By what a worker has to be able to do, and then by the memory it needs.
    lanes: BTreeMap<Needs, BTreeMap<u64, Lane>>,
    places: SharedMap<StageKey, Place>,
    /// How many there are by the memory they need.
    by_memory: BTreeMap<u64, usize>,
    accounts: BTreeMap<CampaignId, Account>,
    /// The share of the campaign whose turn it was last.
    now: Share,
}

impl ReadyQueue {
    /// Puts a stage into its place, wherever it was before.
    pub(crate) fn insert(&mut self, record: &StageRecord) {
        let key = record.key();
        let (demand, priority) = ((record.needs, record.memory_needed), Priority::of(record));
        let is_there =
            |place: &Place| (place.demand, place.priority) == (demand, priority) && place.campaigns == record.wanted_by;
        if self.places.get(&key).is_some_and(is_there) {
            return;
        }
        self.remove(&key);
        for campaign in &record.wanted_by {
            let account = self.accounts.entry(*campaign).or_default();
            if account.ready == 0 {
                account.given = account.given.max(self.now);
            }
            account.ready += 1;
            let given = account.given;
            let lane = self.lanes.entry(demand.0).or_default().entry(demand.1).or_default();
            lane.change(*campaign, given, |stages| {
                stages.insert(priority);
            });
        }
        *self.by_memory.entry(demand.1).or_default() += 1;
        self.places.insert(key, Place { demand, priority, campaigns: record.wanted_by.clone() });
    }

    /// Takes a stage out, if it is in.
    pub(crate) fn remove(&mut self, stage: &StageKey) {
        let Some(Place { demand: (needs, memory), priority, campaigns }) = self.places.remove(stage) else { return };
        for campaign in campaigns {
            let Some(account) = self.accounts.get_mut(&campaign) else { continue };
            account.ready = account.ready.saturating_sub(1);
            let given = account.given;
            let Some(lanes) = self.lanes.get_mut(&needs) else { continue };
            let Some(lane) = lanes.get_mut(&memory) else { continue };
            lane.change(campaign, given, |stages| {
                stages.remove(&priority);
            });
            if lane.turns.is_empty() {
                lanes.remove(&memory);
            }
            if lanes.is_empty() {
                self.lanes.remove(&needs);
            }
        }
        if let Some(count) = self.by_memory.get_mut(&memory) {
            *count -= 1;
            if *count == 0 {
                self.by_memory.remove(&memory);
            }
        }
    }

    /// The first that fits, and whose turn it is: `room` has the memory of the largest worker that is idle and can do
    /// something.
    pub(crate) fn first_within(&self, room: impl Fn(&Needs) -> Option<u64>) -> Option<(StageKey, CampaignId)> {
        let fitting = |(needs, lanes): (&Needs, _)| {
            let lanes: &BTreeMap<u64, Lane> = lanes;
            room(needs).map(|room| lanes.range(..=room))
        };
        let turns = self.lanes.iter().filter_map(fitting).flatten().filter_map(|(_, lane)| lane.turns.first());
        turns.min().map(|(_, priority, campaign)| (priority.stage, *campaign))
    }

    /// A campaign is given so many operations, for its weight.
    pub(crate) fn charge(&mut self, campaign: CampaignId, operations: f64) {
        if let Some(account) = self.accounts.get(&campaign) {
            self.now = account.given;
            self.give(campaign, operations);
        }
    }

    /// A campaign did not get so many of the operations that it was charged with.
    pub(crate) fn refund(&mut self, campaign: CampaignId, operations: f64) {
        self.give(campaign, -operations);
    }

    fn give(&mut self, campaign: CampaignId, operations: f64) {
        let Some(account) = self.accounts.get_mut(&campaign) else { return };
        let before = account.given;
        account.given = Share(before.0 + operations);
        let after = account.given;
        for lane in self.lanes.values_mut().flat_map(BTreeMap::values_mut) {
            lane.give(campaign, before, after);
        }
    }

    /// A campaign is gone for good, with everything that it had in the queue.
    pub(crate) fn forget(&mut self, campaign: &CampaignId) {
        self.accounts.remove(campaign);
    }

    /// How many stages and evaluations there are, by the memory they need.
    pub(crate) fn count_by_memory(&self) -> BTreeMap<u64, usize> {
        self.by_memory.clone()
    }

    /// All of them, the first to be handed out first: the turns are played, with what each stage is charged.
    pub(crate) fn in_order(&self, charge: impl Fn(&StageKey, &CampaignId) -> f64) -> Vec<StageKey> {
        let mut stages: BTreeMap<CampaignId, BTreeSet<Priority>> = BTreeMap::new();
        for place in self.places.values() {
            for campaign in &place.campaigns {
                stages.entry(*campaign).or_default().insert(place.priority);
            }
        }
        let given =
            |campaign: &CampaignId| self.accounts.get(campaign).map_or(Share::default(), |account| account.given);
        let turn = |(campaign, stages): (&CampaignId, &BTreeSet<Priority>)| {
            stages.first().map(|first| (given(campaign), *first, *campaign))
        };
        let mut turns: BTreeSet<Turn> = stages.iter().filter_map(turn).collect();
        let (mut order, mut taken) = (Vec::with_capacity(self.places.len()), BTreeSet::new());
        while let Some((given, priority, campaign)) = turns.pop_first() {
            let Some(waiting) = stages.get_mut(&campaign) else { continue };
            waiting.remove(&priority);
            let is_first = taken.insert(priority.stage);
            let charged = if is_first { charge(&priority.stage, &campaign) } else { 0.0 };
            order.extend(is_first.then_some(priority.stage));
            turns.extend(waiting.first().map(|next| (Share(given.0 + charged), *next, campaign)));
        }
        order
    }
}
