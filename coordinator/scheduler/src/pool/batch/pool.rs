//! The pool: what is known of its allocations, and what follows from that.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use vocabulary::WorkerId;

use super::allocation::{AllocationId, BatchAllocation, Phase};
use super::job::{Job, JobEnd, JobId, JobState, Look};
use super::nodes::Nodes;
use super::settings::BatchSettings;
use super::why::Idle;
use crate::time::Timestamp;

/// Whether a pool takes on anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Active,
    /// Nothing is submitted; what is there continues.
    Paused,
    /// Nothing is submitted, and what is there ends once it has nothing to do.
    Draining,
}

/// The work there is, and who could do it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Stages and evaluations that could start if there were a worker for each, by the device memory they need in bytes.
    pub ready: BTreeMap<u64, usize>,
    /// The pool's workers that are connected.
    pub workers: BTreeMap<WorkerId, LoadWorker>,
}

/// A connected worker of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadWorker {
    pub allocation: AllocationId,
    pub node: Option<String>,
    pub is_busy: bool,
    /// Memory of its device in bytes, if it says so.
    pub memory: Option<u64>,
}

/// An order to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOrder {
    /// Record the intent and say so by [`BatchPool::intended`]; then submit, and say what became of it.
    Submit {
        /// Nodes to keep away from.
        exclude: Vec<String>,
    },
    /// Record the job of an allocation: an answer that was lost was found in the queue.
    Found { allocation: AllocationId, job: JobId },
    /// Cancel a job if it still waits in the queue.
    Cancel { job: JobId },
    /// Ask an idle worker to go.
    Dismiss { worker: WorkerId },
    /// Forget an allocation: it is over.
    Forget { allocation: AllocationId, end: JobEnd },
    /// The pool is paused: too many allocations in a row ended early, this one the last.
    Pause { allocation: AllocationId },
}

/// See the [module's page](super).
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPool {
    settings: BatchSettings,
    mark: [u8; 8],
    mode: Mode,
    allocations: BTreeMap<AllocationId, BatchAllocation>,
    nodes: Nodes,
    /// Early ends in a row.
    strikes: u32,
    /// Refused submissions in a row, the end of the wait after the last one, and what it was refused with.
    refusals: u32,
    refused_until: Timestamp,
    refusal: String,
    /// When the last submissions were intended, the latest last.
    intents: VecDeque<Timestamp>,
    /// Whether the last look was answered. At first nobody has looked.
    is_answered: bool,
    /// Memory of the largest worker that was ever seen, in bytes.
    memory: Option<u64>,
    idle_since: BTreeMap<WorkerId, Timestamp>,
    dismissed: BTreeSet<WorkerId>,
    /// Since when there are more allocations than work.
    surplus_since: Option<Timestamp>,
}

impl BatchPool {
    /// A pool with the allocations that were recorded: when each was intended, and its job if the answer was recorded too.
    #[must_use]
    pub fn new(
        settings: BatchSettings,
        mark: [u8; 8],
        mode: Mode,
        recorded: impl IntoIterator<Item = (AllocationId, Timestamp, Option<JobId>)>,
    ) -> Self {
        let recorded = recorded.into_iter();
        let allocations: BTreeMap<_, _> =
            recorded.map(|(allocation, at, job)| (allocation, BatchAllocation::intended(at, job))).collect();
        let mut intents: Vec<_> = allocations.values().map(|allocation| allocation.intended_at).collect();
        intents.sort_unstable();
        Self {
            settings,
            mark,
            mode,
            allocations,
            nodes: Nodes::default(),
            strikes: 0,
            refusals: 0,
            refused_until: Timestamp::default(),
            refusal: String::new(),
            intents: intents.into(),
            is_answered: false,
            memory: None,
            idle_since: BTreeMap::new(),
            dismissed: BTreeSet::new(),
            surplus_since: None,
        }
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Somebody decided so. Early ends and refusals are forgotten.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        (self.strikes, self.refusals, self.refused_until) = (0, 0, Timestamp::default());
    }

    /// The allocations that are not over.
    pub fn allocations(&self) -> impl Iterator<Item = (AllocationId, &BatchAllocation)> {
        self.allocations.iter().map(|(allocation, known)| (*allocation, known))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty()
    }

    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The intent to submit was recorded.
    pub fn intended(&mut self, now: Timestamp, allocation: AllocationId) {
        self.allocations.insert(allocation, BatchAllocation::intended(now, None));
        self.intents.push_back(now);
    }

    /// The batch system took a submission in.
    pub fn submitted(&mut self, allocation: AllocationId, job: JobId) {
        self.refusals = 0;
        if let Some(known) = self.allocations.get_mut(&allocation) {
            known.job = Some(job);
            known.phase = Phase::Queued { reason: String::new() };
        }
    }

    /// The batch system refused a submission, so no job exists. Excluding nodes may be the reason, for example once every node of
    /// a cluster is excluded, so the exclusions are dropped.
    pub fn refused(&mut self, now: Timestamp, allocation: AllocationId, why: String) {
        self.allocations.remove(&allocation);
        if self.nodes.avoided(now).next().is_some() {
            return self.nodes.forgive();
        }
        self.refusals = self.refusals.saturating_add(1);
        let wait = BatchSettings::FIRST_WAIT.saturating_mul(1 << (self.refusals - 1).min(16));
        self.refused_until = now + wait.min(BatchSettings::LONGEST_WAIT);
        self.refusal = why;
    }

    /// Takes in what is new and says what follows.
    #[must_use]
    pub fn handle(&mut self, now: Timestamp, look: Look<'_>, load: &Load) -> Vec<BatchOrder> {
        let mut orders = Vec::new();
        self.note_workers(now, load);
        match look {
            Look::Nothing => {}
            Look::Away => self.is_answered = false,
            Look::Jobs(jobs) => {
                self.is_answered = true;
                self.take_in(now, jobs, load, &mut orders);
            }
        }
        self.nodes.expire(now);
        if self.is_answered {
            self.scale(now, load, &mut orders);
        }
        self.dismiss(now, load, &mut orders);
        orders
    }

    /// Why nothing is submitted now; `None` if something is.
    #[must_use]
    pub fn why_idle(&self, now: Timestamp, load: &Load) -> Option<Idle> {
        let (wanted, there) = (self.wanted(load), self.there());
        let waiting = self.waiting().count();
        let is_too_large = load.ready.values().sum::<usize>() > self.fitting(load) && self.fitting(load) == 0;
        match self.mode {
            Mode::Paused => Some(Idle::Paused),
            Mode::Draining => Some(Idle::Draining),
            Mode::Active if !self.is_answered => Some(Idle::Away),
            Mode::Active if self.worth(load) > there && self.allocations.len() >= self.settings.max as usize => {
                Some(Idle::AtMost { max: self.settings.max })
            }
            Mode::Active if wanted <= there && is_too_large => Some(Idle::TooLarge),
            Mode::Active if wanted <= there => Some(Idle::NoDemand),
            Mode::Active if self.refused_until > now => {
                let seconds = self.refused_until.since(now).as_secs();
                Some(Idle::Refused { seconds, why: self.refusal.clone() })
            }
            Mode::Active if waiting >= self.settings.backlog as usize => Some(Idle::Backlog { waiting }),
            Mode::Active if self.within_rate(now) == 0 => Some(Idle::Rate { per_minute: self.settings.per_minute }),
            Mode::Active => None,
        }
    }

    fn note_workers(&mut self, now: Timestamp, load: &Load) {
        for (worker, LoadWorker { allocation, node, is_busy, memory }) in &load.workers {
            self.memory = self.memory.max(*memory);
            if let Some(node) = node {
                self.nodes.note_hello(node);
            }
            if let Some(known) = self.allocations.get_mut(allocation)
                && !known.has_said_hello
            {
                known.has_said_hello = true;
                self.strikes = 0;
            }
            if *is_busy {
                self.idle_since.remove(worker);
                self.dismissed.remove(worker);
            } else {
                self.idle_since.entry(*worker).or_insert(now);
            }
        }
        self.idle_since.retain(|worker, _| load.workers.contains_key(worker));
        self.dismissed.retain(|worker| load.workers.contains_key(worker));
    }

    fn take_in(&mut self, now: Timestamp, jobs: &[Job], load: &Load, orders: &mut Vec<BatchOrder>) {
        let mut present = BTreeSet::new();
        // A requeued job has one line; where a comment is there twice, the one that is not over counts.
        let over = |job: &&Job| matches!(job.state, JobState::Ended(_));
        for job in jobs.iter().filter(|job| !over(job)).chain(jobs.iter().filter(over)) {
            if job.allocation.mark() == self.mark && present.insert(job.allocation) {
                self.take_in_job(now, job, load, orders);
            }
        }
        let BatchSettings { settle, misses, .. } = self.settings;
        let mut over = Vec::new();
        for (allocation, known) in self.allocations.iter_mut().filter(|(allocation, _)| !present.contains(*allocation))
        {
            known.misses += 1;
            let is_settled = known.job.is_some() || now >= known.intended_at + settle;
            if known.misses >= misses && is_settled {
                over.push(*allocation);
            }
        }
        for allocation in over {
            self.end(now, allocation, JobEnd::Gone, None, orders);
        }
    }

    fn take_in_job(&mut self, now: Timestamp, job: &Job, load: &Load, orders: &mut Vec<BatchOrder>) {
        if let JobState::Ended(end) = job.state {
            if let Some(known) = self.allocations.get_mut(&job.allocation) {
                known.node = job.node.clone().or(known.node.take());
                self.end(now, job.allocation, end, Some(job.used), orders);
            }
            return;
        }
        // One that nobody knows is of this pool by its mark: its intent was given up before it came into the queue.
        let known =
            self.allocations.entry(job.allocation).or_insert_with(|| BatchAllocation::intended(now, Some(job.job)));
        known.misses = 0;
        known.node = job.node.clone().or(known.node.take());
        if known.job != Some(job.job) {
            known.job = Some(job.job);
            orders.push(BatchOrder::Found { allocation: job.allocation, job: job.job });
        }
        known.phase = match job.state {
            JobState::Running => Phase::Running { used: job.used, left: job.left },
            _ => Phase::Queued { reason: job.reason.clone() },
        };
        let is_alive = load.workers.values().any(|worker| worker.allocation == job.allocation);
        if job.state == JobState::Held && !known.is_cancelled && !is_alive {
            // It would wait forever. What its node did to it counts as if it had ended there.
            known.is_cancelled = true;
            orders.push(BatchOrder::Cancel { job: job.job });
            let (node, has_said_hello) = (known.node.clone(), known.has_said_hello);
            if !has_said_hello {
                self.strike(now, job.allocation, node.as_deref(), orders);
            }
        }
    }

    /// An allocation is over.
    fn end(
        &mut self,
        now: Timestamp,
        allocation: AllocationId,
        end: JobEnd,
        used: Option<Duration>,
        orders: &mut Vec<BatchOrder>,
    ) {
        let Some(known) = self.allocations.remove(&allocation) else { return };
        let is_its_own = match end {
            JobEnd::Completed | JobEnd::Failed => true,
            // Nobody said how it ended.
            JobEnd::Gone => self.settings.absence_is_failure && known.used().is_some(),
            JobEnd::Stopped => false,
        };
        let ran = used.or(known.used()).unwrap_or_default();
        if is_its_own && !known.has_said_hello && !known.is_cancelled && ran < BatchSettings::EARLY {
            self.strike(now, allocation, known.node.as_deref(), orders);
        }
        orders.push(BatchOrder::Forget { allocation, end });
    }

    /// An allocation ended early, on a node or before it had one.
    fn strike(&mut self, now: Timestamp, allocation: AllocationId, node: Option<&str>, orders: &mut Vec<BatchOrder>) {
        if let Some(node) = node {
            self.nodes.note_early_end(now, node);
        }
        self.strikes += 1;
        if self.strikes >= BatchSettings::STRIKES_OF_POOL && self.mode == Mode::Active {
            self.mode = Mode::Paused;
            orders.push(BatchOrder::Pause { allocation });
        }
    }

    fn scale(&mut self, now: Timestamp, load: &Load, orders: &mut Vec<BatchOrder>) {
        let (wanted, there) = (self.wanted(load), self.there());
        let is_surplus = there > wanted;
        self.surplus_since = if is_surplus { self.surplus_since.or(Some(now)) } else { None };
        if self.mode == Mode::Active && self.refused_until <= now {
            let waiting = self.waiting().count();
            let count = wanted
                .saturating_sub(there)
                .min((self.settings.max as usize).saturating_sub(self.allocations.len()))
                .min((self.settings.backlog as usize).saturating_sub(waiting))
                .min(self.within_rate(now));
            let exclude: Vec<String> = self.nodes.avoided(now).map(|(node, _)| node.to_owned()).collect();
            orders.extend((0..count).map(|_| BatchOrder::Submit { exclude: exclude.clone() }));
        }
        let is_due = match self.mode {
            Mode::Draining => true,
            Mode::Active => self.surplus_since.is_some_and(|since| now >= since + self.settings.idle),
            Mode::Paused => false,
        };
        if is_surplus && is_due {
            self.cancel(there - wanted, load, orders);
        }
    }

    /// Cancels so many that wait, the latest first. One that was requeued while its worker lives stays.
    fn cancel(&mut self, count: usize, load: &Load, orders: &mut Vec<BatchOrder>) {
        let alive: BTreeSet<AllocationId> = load.workers.values().map(|worker| worker.allocation).collect();
        let mut waiting: Vec<_> = self.waiting().filter(|(allocation, _)| !alive.contains(allocation)).collect();
        waiting.sort_by_key(|(allocation, known)| std::cmp::Reverse((known.intended_at, *allocation)));
        let cancelled: Vec<(AllocationId, JobId)> =
            waiting.into_iter().filter_map(|(allocation, known)| Some((allocation, known.job?))).take(count).collect();
        for (allocation, job) in cancelled {
            orders.push(BatchOrder::Cancel { job });
            if let Some(known) = self.allocations.get_mut(&allocation) {
                known.is_cancelled = true;
            }
        }
    }

    /// Asks workers to go that have been idle for long, as far as there are more allocations than wanted. Those of one
    /// allocation go together: none of them frees the node alone.
    fn dismiss(&mut self, now: Timestamp, load: &Load, orders: &mut Vec<BatchOrder>) {
        let patience = match self.mode {
            Mode::Draining => Duration::ZERO,
            Mode::Active | Mode::Paused => self.settings.idle,
        };
        let mut by_allocation: BTreeMap<AllocationId, Vec<WorkerId>> = BTreeMap::new();
        for (worker, known) in &load.workers {
            by_allocation.entry(known.allocation).or_default().push(*worker);
        }
        let mut surplus = self.there().saturating_sub(self.wanted(load));
        for (allocation, workers) in by_allocation {
            let is_idle = |worker: &WorkerId| self.idle_since.get(worker).is_some_and(|since| now >= *since + patience);
            // A worker under a job that is over for the batch system takes nothing from the pool's size.
            let is_counted = self.allocations.contains_key(&allocation);
            if !workers.iter().all(is_idle) || (is_counted && surplus == 0) {
                continue;
            }
            surplus -= usize::from(is_counted);
            for worker in workers {
                if self.dismissed.insert(worker) {
                    orders.push(BatchOrder::Dismiss { worker });
                }
            }
        }
    }

    /// How many allocations the work is worth.
    fn worth(&self, load: &Load) -> usize {
        let busy = load.workers.values().filter(|worker| worker.is_busy).count();
        let per_allocation = self.settings.workers_per_allocation.max(1) as usize;
        (busy + self.fitting(load)).div_ceil(per_allocation)
    }

    /// How many allocations there should be.
    fn wanted(&self, load: &Load) -> usize {
        if self.mode == Mode::Draining {
            return 0;
        }
        self.worth(load).clamp(self.settings.min.min(self.settings.max) as usize, self.settings.max as usize)
    }

    /// What is ready and fits on a worker of the pool, as far as these are known.
    fn fitting(&self, load: &Load) -> usize {
        load.ready.range(..=self.memory.unwrap_or(u64::MAX)).map(|(_, count)| count).sum()
    }

    /// How many there are that will be there for a while.
    fn there(&self) -> usize {
        let stays = |known: &&BatchAllocation| !known.is_cancelled && !known.ends_soon(BatchSettings::AHEAD);
        self.allocations.values().filter(stays).count()
    }

    fn waiting(&self) -> impl Iterator<Item = (AllocationId, &BatchAllocation)> {
        self.allocations().filter(|(_, known)| known.waits() && !known.is_cancelled)
    }

    /// How many more may be submitted in this minute.
    fn within_rate(&self, now: Timestamp) -> usize {
        let recent = self.intents.iter().filter(|at| now.since(**at) < Duration::from_secs(60)).count();
        (self.settings.per_minute as usize).saturating_sub(recent)
    }
}
