//! The scheduler: its state, and the operations that all handlers share.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::{AttemptKey, CampaignId, StageKey, WorkerId};

use crate::effect::Effect;
use crate::fact::{AttemptEnd, Fact, RetryCount};
use crate::placement::ReadyQueue;
use crate::settings::Settings;
use crate::standing::Standing;
use crate::state::campaign::Campaign;
use crate::state::fleet::Workers;
use crate::state::forget::ForgetError;
use crate::state::health::{Health, Rest};
use crate::state::ledger::{Changes, Ledger};
use crate::state::stage::{StageRecord, StageState, most_of_one_worker};
use crate::state::worker::Slot;
use crate::time::Timestamp;
use crate::timers::{Timer, Timers};

/// All decisions, as a value. See the [crate's page](crate).
///
/// A copy is cheap, however many stages there are: it shares what does not change. So whoever looks at many of them works on a
/// copy, and holds up nothing.
///
/// - Invariant: a stage that runs in the ledger has exactly one lease, and one that does not has none.
/// - Invariant: a worker is given a stage only while its slot is empty, and a slot is emptied only by what the worker
///   says or by its end.
/// - Invariant: the queue holds exactly the stages that could be handed out now.
#[derive(Debug, Clone)]
pub struct Scheduler {
    pub(crate) settings: Settings,
    /// All that outlives the process.
    pub(crate) ledger: Ledger,
    /// Workers known to be alive.
    pub(crate) workers: Workers,
    /// How workers have fared lately, by name.
    pub(crate) health: Health,
    /// The stage each worker has by the ledger, be the worker known or (after a restart) not yet.
    pub(crate) running_on: BTreeMap<WorkerId, StageKey>,
    /// Running stages that their worker has been heard to have.
    pub(crate) confirmed: BTreeSet<StageKey>,
    /// Running stages that were handed out before the last restart, and that nothing has been heard of since.
    pub(crate) held_over: BTreeSet<StageKey>,
    /// Stages that could be handed out now.
    pub(crate) ready: ReadyQueue,
    /// Which campaign each running stage was charged to, and with what.
    pub(crate) charged: BTreeMap<StageKey, (CampaignId, f64)>,
    /// Leases, silences, backoffs.
    pub(crate) timers: Timers,
    /// When something was handled last.
    pub(crate) last_handled: Option<Timestamp>,
    /// Nothing more is handed out.
    pub(crate) is_draining: bool,
    /// How often something of each campaign has changed, for whoever watches it.
    pub(crate) versions: BTreeMap<CampaignId, u64>,
}

impl Scheduler {
    /// An empty scheduler.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ledger: Ledger::default(),
            workers: Workers::default(),
            health: Health::default(),
            running_on: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            held_over: BTreeSet::new(),
            ready: ReadyQueue::default(),
            charged: BTreeMap::new(),
            timers: Timers::default(),
            last_handled: None,
            is_draining: false,
            versions: BTreeMap::new(),
        }
    }

    /// Its settings. Workers are told the lease and the heartbeat interval when they join.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the caller has to send [`Event::TimePassed`](crate::Event::TimePassed), if nothing else happens before.
    ///
    /// While some worker may fall silent, that is at least once a heartbeat interval: the gap between two calls tells
    /// whether the caller was there to hear.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let timer = self.timers.next();
        let tick = self.last_handled.map(|last| last + self.settings.heartbeat_interval);
        let tick = tick.filter(|_| self.waits_for_somebody());
        [timer, tick].into_iter().flatten().min()
    }

    /// Applies a decision and orders it to be recorded.
    ///
    /// # Panics
    /// If the decision is illegal. Handlers check events before they decide, so that is a bug in this crate, and continuing
    /// would write a log that cannot be read again.
    pub(crate) fn record(&mut self, fact: Fact, effects: &mut Vec<Effect>) {
        let Changes { touched, ended } = match self.ledger.apply(&fact) {
            Ok(changes) => changes,
            Err(illegal) => panic!("decided on an illegal fact: {illegal}"),
        };
        self.note_changes(&fact, &touched);
        let searches = self.ledger.searches_after(&fact);
        effects.push(Effect::Record(fact));
        for stage in touched {
            if let Some(parent) = self.ledger.parent_to_reopen(&stage) {
                self.record(Fact::StageReopened { stage: parent }, effects);
            }
            self.requeue(stage);
        }
        let grown = self.grow_searches(&searches, effects);
        let ended = ended.into_iter().filter(|campaign| !grown.contains(campaign));
        effects.extend(ended.map(|campaign| Effect::CampaignEnded { campaign }));
    }

    fn note_changes(&mut self, fact: &Fact, touched: &[StageKey]) {
        let wanting = touched.iter().filter_map(|stage| self.ledger.record(stage)).flat_map(|record| &record.wanted_by);
        let changed: BTreeSet<CampaignId> = wanting.copied().chain(fact.campaign()).collect();
        for campaign in changed {
            *self.versions.entry(campaign).or_default() += 1;
        }
    }

    /// Lets searches choose their next trials, and returns those that chose some: these have not ended with what was recorded
    /// before.
    fn grow_searches(&mut self, searches: &[CampaignId], effects: &mut Vec<Effect>) -> BTreeSet<CampaignId> {
        let mut grown = BTreeSet::new();
        for campaign in searches {
            if let Some(growth) = self.ledger.search_growth(campaign) {
                grown.insert(*campaign);
                self.record(Fact::CampaignGrown { growth }, effects);
            }
        }
        grown
    }

    /// Puts a stage into the queue, or takes it out, as its state demands.
    pub(crate) fn requeue(&mut self, stage: StageKey) {
        let backing_off = self.timers.when(Timer::BackoffOver(stage)).is_some();
        match self.ledger.record(&stage) {
            Some(record) if !backing_off && self.ledger.can_start(record) => self.ready.insert(record),
            _ => self.ready.remove(&stage),
        }
    }

    /// Assigns stages while one fits an idle worker.
    pub(crate) fn place(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while !self.is_draining
            && let Some((stage, campaign, worker)) = self.next_placement()
        {
            let operations = self.charge_of(&stage, &campaign);
            self.ready.charge(campaign, operations);
            self.charged.insert(stage, (campaign, operations));
            self.start_attempt(now, stage, worker, effects);
        }
    }

    /// What a campaign is charged for an attempt at a stage: the operations of what is left of it, for the campaign's weight.
    pub(crate) fn charge_of(&self, stage: &StageKey, campaign: &CampaignId) -> f64 {
        let operations = self.ledger.record(stage).map_or(0.0, StageRecord::remaining_operations);
        operations / f64::from(self.ledger.weight(campaign))
    }

    fn next_placement(&self) -> Option<(StageKey, CampaignId, WorkerId)> {
        if self.workers.none_is_idle() {
            return None;
        }
        let (stage, campaign) = self.ready.first_within(|needs| self.workers.largest_idle(needs))?;
        let worker = self.workers.choose(self.ledger.record(&stage)?)?;
        Some((stage, campaign, worker))
    }

    fn start_attempt(&mut self, now: Timestamp, stage: StageKey, worker: WorkerId, effects: &mut Vec<Effect>) {
        let Some(attempt) = self.ledger.record(&stage).map(|record| record.next_attempt()) else { return };
        let name = self.workers.get(&worker).map(|known| known.name.clone()).unwrap_or_default();
        self.record(Fact::AttemptStarted { stage, worker, attempt, name }, effects);
        self.running_on.insert(worker, stage);
        let key = AttemptKey { stage, attempt };
        self.workers.set_slot(worker, Slot::Busy(key));
        self.assign(now, worker, key, effects);
    }

    /// Tells a worker to run an attempt that it has by the ledger, with a fresh lease.
    pub(crate) fn assign(&mut self, now: Timestamp, worker: WorkerId, key: AttemptKey, effects: &mut Vec<Effect>) {
        let stage = key.stage;
        let Some(record) = self.ledger.record(&stage) else { return };
        let (resume_from, parent) = (record.latest_checkpoint(), record.work.parent());
        self.held_over.remove(&stage);
        self.timers.set(Timer::LeaseExpired(stage), now + self.settings.lease_duration);
        effects.push(Effect::Assign { worker, key, resume_from, parent });
    }

    /// Ends the attempt of a running stage without the stage being done, and decides whether there will be another.
    /// The caller decides about the worker's slot.
    ///
    /// A worker that fails whatever it is given rests, and where another could do better, its word counts against no stage.
    pub(crate) fn end_attempt(&mut self, now: Timestamp, stage: StageKey, why: AttemptEnd, effects: &mut Vec<Effect>) {
        let Some(&StageState::Running { worker, attempt }) = self.ledger.stage_state(&stage) else { return };
        let count = why.counts_as();
        let is_failure = count.is_some() && why != AttemptEnd::Released;
        let is_broken = is_failure && self.note_failure(now, worker, stage, &why);
        let excused = is_broken && self.ledger.record(&stage).is_some_and(|record| self.others_could(record, |_| true));
        if let Some((campaign, charged)) = self.charged.remove(&stage) {
            self.ready.refund(campaign, charged.min(self.charge_of(&stage, &campaign)));
        }
        self.forget_attempt(worker, stage);
        self.record(Fact::AttemptEnded { stage, attempt, why, excused }, effects);

        let Some((count, record)) = count.filter(|_| !excused).zip(self.ledger.record(&stage)) else { return };
        if record.state != StageState::Waiting {
            return; // What it starts from is lost for good.
        }
        let (ends, retries) = (record.counts.of(count), self.ledger.retries(record));
        let limit = count.limit(&retries);
        if ends > limit && self.is_at_fault(record, count, limit) {
            self.record(Fact::StagePoisoned { stage, limit: count }, effects);
            return;
        }
        // Preemptions within the limit do not wait.
        let waits = if count == RetryCount::Preempted { ends.saturating_sub(limit) } else { ends };
        if waits > 0 {
            self.timers.set(Timer::BackoffOver(stage), now + retries.wait_after(waits));
            self.requeue(stage);
        }
    }

    /// Notes that an attempt failed on its worker. Whether the worker is broken.
    fn note_failure(&mut self, now: Timestamp, worker: WorkerId, stage: StageKey, why: &AttemptEnd) -> bool {
        let Some(name) = self.ledger.record(&stage).map(|record| record.last_on.clone()) else { return false };
        let is_broken = self.health.note_failure(&name, stage);
        if is_broken {
            let rest = self.health.rest_as_broken(&name, now, why.to_string());
            self.let_rest(worker, rest);
        }
        is_broken
    }

    /// A worker is given nothing for a while.
    pub(crate) fn let_rest(&mut self, worker: WorkerId, rest: Rest) {
        if self.workers.contains(&worker) {
            self.timers.set(Timer::RestOver(worker), rest.until);
            self.workers.set_rest(worker, Some(rest));
        }
    }

    /// A worker got somewhere with a stage, so it is not broken.
    pub(crate) fn note_success(&mut self, stage: &StageKey) {
        if let Some(record) = self.ledger.record(stage) {
            self.health.note_success(&record.last_on);
        }
    }

    /// Whether a stage that exceeds a limit is given up: several workers failed on it, or no other worker could still do
    /// better.
    fn is_at_fault(&self, record: &StageRecord, count: RetryCount, limit: u32) -> bool {
        let is_open_minded = |name: &str| record.count_on(name, count) < most_of_one_worker(limit);
        record.failed_on_several(count, limit) || !self.others_could(record, is_open_minded)
    }

    /// Whether a worker besides the last one could do this, is not known to fail, and meets a condition on its name. All
    /// workers are looked at, which happens only to a stage or a worker in trouble.
    fn others_could(&self, record: &StageRecord, condition: impl Fn(&str) -> bool) -> bool {
        self.workers.iter().any(|(_, worker)| {
            let name = worker.name.as_str();
            name != record.last_on
                && worker.can.allow(&record.needs)
                && worker.room() >= record.memory_needed
                && worker.slot != Slot::Leaving
                && worker.unfit.is_none()
                && !self.health.is_hopeless(name)
                && condition(name)
        })
    }

    /// Drops the lease of a stage that no longer runs.
    pub(crate) fn forget_attempt(&mut self, worker: WorkerId, stage: StageKey) {
        self.timers.cancel(Timer::LeaseExpired(stage));
        self.confirmed.remove(&stage);
        self.held_over.remove(&stage);
        self.charged.remove(&stage);
        self.running_on.remove(&worker);
    }

    /// Whether the worker of a running stage confirmed it. An attempt from before a restart gets the benefit of the doubt: it
    /// was the coordinator that ended, which says nothing about the stage.
    pub(crate) fn may_have_begun(&self, stage: &StageKey) -> bool {
        self.confirmed.contains(stage) || self.held_over.contains(stage)
    }

    /// A sign of life: postpones the time at which a known worker is taken for gone.
    pub(crate) fn heard_from(&mut self, now: Timestamp, worker: WorkerId) {
        if self.workers.contains(&worker) {
            self.timers.set(Timer::WorkerSilent(worker), now + self.settings.lease_duration);
        }
    }

    /// A sign that a worker holds its stage: extends the lease.
    pub(crate) fn renew(&mut self, now: Timestamp, stage: StageKey) {
        self.timers.set(Timer::LeaseExpired(stage), now + self.settings.lease_duration);
        self.held_over.remove(&stage);
        self.confirmed.insert(stage);
    }

    /// Whether what is reported under this attempt counts.
    #[must_use]
    pub fn standing(&self, worker: WorkerId, key: AttemptKey) -> Standing {
        let AttemptKey { stage, attempt } = key;
        match self.ledger.stage_state(&stage) {
            Some(StageState::Running { worker: by, attempt: current }) if (*by, *current) == (worker, attempt) => {
                Standing::Current
            }
            Some(StageState::Completed { attempt: by, .. } | StageState::Diverged { attempt: by, .. })
                if *by == attempt =>
            {
                Standing::Settled
            }
            _ => Standing::Stale,
        }
    }

    /// Whether a campaign can be forgotten. What a worker had that has not joined since a restart does not keep it: should that
    /// worker come back, its attempt is refused.
    ///
    /// # Errors
    /// If it cannot.
    pub fn forgettable(&self, campaign: &CampaignId) -> Result<&Campaign, ForgetError> {
        self.ledger.forgettable_unless(campaign, |worker| self.workers.contains(worker))
    }

    /// Whether this worker holds the stage under this attempt now: the fence before anything is written on its word.
    #[must_use]
    pub fn is_current(&self, worker: WorkerId, key: AttemptKey) -> bool {
        self.standing(worker, key) == Standing::Current
    }
}
