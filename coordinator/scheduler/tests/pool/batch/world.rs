//! A batch system and a caller of the pool, both in memory: answers are lost, and the caller crashes between any two steps.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use scheduler::Timestamp;
use scheduler::pool::batch::{
    AllocationId, BatchOrder, BatchPool, BatchSettings, Job, JobEnd, JobId, JobState, Load, LoadWorker, Look, Mode,
};
use vocabulary::WorkerId;

const MARK: [u8; 8] = [3; 8];

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// So many stages are ready.
    Work(usize),
    /// Time passes, and the caller asks the batch system.
    Look,
    /// The batch system does not answer the caller.
    LookInVain,
    /// From now on the answers to submissions are lost, or not any more.
    LoseAnswers(bool),
    /// The caller is killed after so many of the next steps, and started again.
    CrashAfter(usize),
    Crash,
    /// The first job that waits starts.
    Start,
    /// A worker of the first running job takes a stage.
    Take,
    /// It has done it.
    Finish,
    /// The first running job ends so.
    End(JobEnd),
    /// It goes back into the queue.
    Requeue,
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => (0..6_usize).prop_map(Action::Work),
        8 => Just(Action::Look),
        1 => Just(Action::LookInVain),
        1 => any::<bool>().prop_map(Action::LoseAnswers),
        2 => (0..4_usize).prop_map(Action::CrashAfter),
        1 => Just(Action::Crash),
        4 => Just(Action::Start),
        4 => Just(Action::Take),
        4 => Just(Action::Finish),
        1 => prop_oneof![Just(JobEnd::Completed), Just(JobEnd::Failed), Just(JobEnd::Stopped)].prop_map(Action::End),
        1 => Just(Action::Requeue),
    ]
}

struct InQueue {
    allocation: AllocationId,
    state: JobState,
    started: u64,
    is_busy: bool,
}

pub(super) struct World {
    now: u64,
    ready: usize,
    /// The batch system's own.
    jobs: BTreeMap<JobId, InQueue>,
    next_job: u64,
    loses_answers: bool,
    /// What the caller recorded.
    recorded: BTreeMap<AllocationId, (Timestamp, Option<JobId>)>,
    pool: BatchPool,
    drawn: u64,
    steps_to_crash: Option<usize>,
    is_over_for_good: bool,
}

fn settings() -> BatchSettings {
    BatchSettings {
        min: 0,
        max: 3,
        backlog: 2,
        workers_per_allocation: 1,
        idle: Duration::from_secs(60),
        per_minute: 6,
        settle: Duration::from_secs(30),
        misses: 2,
        absence_is_failure: true,
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: 1_000_000,
            ready: 0,
            jobs: BTreeMap::new(),
            next_job: 1,
            loses_answers: false,
            recorded: BTreeMap::new(),
            pool: BatchPool::new(settings(), MARK, Mode::Active, []),
            drawn: 0,
            steps_to_crash: None,
            is_over_for_good: false,
        }
    }

    pub(super) fn submitted(&self) -> u64 {
        self.next_job - 1
    }

    pub(super) fn act(&mut self, action: &Action) {
        match action {
            Action::Work(count) => self.ready = *count,
            Action::Look => self.look(true),
            Action::LookInVain => self.look(false),
            Action::LoseAnswers(loses) => self.loses_answers = *loses,
            Action::CrashAfter(steps) => self.steps_to_crash = Some(*steps),
            Action::Crash => self.crash(),
            Action::Start => {
                let now = self.now;
                if let Some(job) = self.first(JobState::Pending) {
                    (job.state, job.started) = (JobState::Running, now);
                }
            }
            Action::Take => {
                let has_work = self.ready > 0;
                if let Some(job) = self.first(JobState::Running).filter(|job| has_work && !job.is_busy) {
                    job.is_busy = true;
                    self.ready -= 1;
                }
            }
            Action::Finish => {
                if let Some(job) = self.first(JobState::Running) {
                    job.is_busy = false;
                }
            }
            Action::End(end) => {
                if let Some(job) = self.first(JobState::Running) {
                    (job.state, job.is_busy) = (JobState::Ended(*end), false);
                }
            }
            Action::Requeue => {
                if let Some(job) = self.first(JobState::Running) {
                    (job.state, job.is_busy) = (JobState::Pending, false);
                }
            }
        }
    }

    /// What must hold at any moment.
    pub(super) fn check(&self) {
        let alive = || self.jobs.values().filter(|job| !matches!(job.state, JobState::Ended(_)));
        assert!(alive().count() <= settings().max as usize, "{} jobs", alive().count());
        let mut allocations: Vec<_> = self.jobs.values().map(|job| job.allocation).collect();
        let all = allocations.len();
        allocations.sort_unstable();
        allocations.dedup();
        assert_eq!(allocations.len(), all, "an intent was submitted twice");
        for job in alive() {
            let is_recorded = self.recorded.contains_key(&job.allocation);
            assert!(is_recorded, "a job is in the queue whose intent is not recorded");
        }
    }

    /// Without work, everything ends: jobs that wait are cancelled, workers that are idle go.
    pub(super) fn come_to_rest(&mut self) {
        (self.ready, self.loses_answers, self.steps_to_crash) = (0, false, None);
        for job in self.jobs.values_mut() {
            job.is_busy = false;
        }
        self.is_over_for_good = true;
        self.pool.set_mode(Mode::Active);
        for _ in 0..20 {
            self.look(true);
            self.check();
        }
        let left: Vec<_> = self.jobs.values().filter(|job| !matches!(job.state, JobState::Ended(_))).collect();
        assert!(left.is_empty(), "{} jobs are left", left.len());
        assert!(self.pool.is_empty(), "{:?}", self.pool);
        assert!(self.recorded.is_empty());
    }

    fn first(&mut self, state: JobState) -> Option<&mut InQueue> {
        self.jobs.values_mut().find(|job| job.state == state)
    }

    fn load(&self) -> Load {
        let running = self.jobs.iter().filter(|(_, job)| job.state == JobState::Running);
        let worker = |(id, job): (&JobId, &InQueue)| {
            let (node, memory) = (Some(format!("n{}", id.0 % 3)), None);
            let worker = LoadWorker { allocation: job.allocation, node, is_busy: job.is_busy, memory };
            (WorkerId::from_bytes(id.0.to_be_bytes()), worker)
        };
        let ready = if self.ready > 0 { [(1, self.ready)].into() } else { BTreeMap::new() };
        Load { ready, workers: running.map(worker).collect() }
    }

    fn look(&mut self, is_answered: bool) {
        self.now += 20_000;
        let now = self.now;
        let shown = |(id, job): (&JobId, &InQueue)| Job {
            job: *id,
            allocation: job.allocation,
            state: job.state,
            reason: String::new(),
            node: Some(format!("n{}", id.0 % 3)),
            used: Duration::from_millis(now - job.started),
            left: None,
        };
        let jobs: Vec<Job> = self.jobs.iter().map(shown).collect();
        let look = if is_answered { Look::Jobs(&jobs) } else { Look::Away };
        let orders = self.pool.handle(Timestamp(now), look, &self.load());
        for order in orders {
            if self.carry_out(order) {
                self.crash();
                return;
            }
        }
        // It forgets jobs that have ended.
        self.jobs.retain(|_, job| !matches!(job.state, JobState::Ended(_)));
    }

    /// Carries an order out; whether the caller was killed over it.
    fn carry_out(&mut self, order: BatchOrder) -> bool {
        let now = Timestamp(self.now);
        match order {
            BatchOrder::Submit { .. } => {
                if self.is_killed() {
                    return true;
                }
                self.drawn += 1;
                let allocation = AllocationId::of(MARK, self.drawn.to_be_bytes());
                self.recorded.insert(allocation, (now, None));
                self.pool.intended(now, allocation);
                if self.is_killed() {
                    return true;
                }
                let job = JobId(self.next_job);
                self.next_job += 1;
                let (state, started, is_busy) = (JobState::Pending, self.now, false);
                self.jobs.insert(job, InQueue { allocation, state, started, is_busy });
                if self.is_killed() {
                    return true;
                }
                if !self.loses_answers {
                    self.recorded.insert(allocation, (now, Some(job)));
                    self.pool.submitted(allocation, job);
                }
            }
            BatchOrder::Found { allocation, job } => {
                let at = self.recorded.get(&allocation).map_or(now, |(at, _)| *at);
                self.recorded.insert(allocation, (at, Some(job)));
            }
            BatchOrder::Cancel { job } => {
                if let Some(job) = self.jobs.get_mut(&job).filter(|job| job.state == JobState::Pending) {
                    job.state = JobState::Ended(JobEnd::Stopped);
                }
            }
            BatchOrder::Dismiss { worker } => {
                let job = JobId(u64::from_be_bytes(*worker.as_bytes()));
                if let Some(job) = self.jobs.get_mut(&job).filter(|job| !job.is_busy) {
                    job.state = JobState::Ended(JobEnd::Completed);
                }
            }
            BatchOrder::Forget { allocation, .. } => {
                self.recorded.remove(&allocation);
            }
            BatchOrder::Pause { .. } => {}
        }
        self.is_killed()
    }

    fn is_killed(&mut self) -> bool {
        match &mut self.steps_to_crash {
            Some(0) if !self.is_over_for_good => true,
            Some(steps) => {
                *steps = steps.saturating_sub(1);
                false
            }
            None => false,
        }
    }

    fn crash(&mut self) {
        self.steps_to_crash = None;
        let recorded = self.recorded.iter().map(|(allocation, (at, job))| (*allocation, *at, *job));
        self.pool = BatchPool::new(settings(), MARK, self.pool.mode(), recorded);
    }
}
