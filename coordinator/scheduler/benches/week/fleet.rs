//! Workers and what befalls them, in simulated time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use scheduler::{CampaignPhase, Effect, Event, Fact, Scheduler, Settings, Timestamp};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Abilities, AttemptKey, Measurements, Plan, WorkerId};

use crate::cpu_time;
use crate::forest;
use crate::random::Random;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// As for a large fleet: a heartbeat every five minutes, a lease of half an hour.
const HEARTBEAT: u64 = 300 * SECOND;
const LEASE: u64 = 1_800 * SECOND;

/// Between preemptions of a worker, crashes of one, and broken connections of one, on the average.
const PREEMPTION: f64 = DAY as f64;
const CRASH: f64 = 4.0 * DAY as f64;
const CUT: f64 = 12.0 * HOUR as f64;

/// Until there is another process in its place, or a connection.
const REPLACEMENT: u64 = 600 * SECOND;
const RECONNECTION: u64 = 60 * SECOND;

/// Between coordinators.
const RESTART: u64 = DAY;

/// Attempts that end in an error, and stages whose loss runs away.
const FAILURES: f64 = 0.005;
const DIVERGENCES: f64 = 0.002;

/// Milliseconds a step, by width: a trunk of the smallest takes half an hour, one of the largest almost three.
fn step_ms(width: u32) -> u64 {
    u64::from(width) * 100
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) stages: usize,
    pub(crate) events: u64,
    pub(crate) facts: u64,
    pub(crate) slowest_restart: Duration,
    pub(crate) attempts: u64,
    pub(crate) checkpoints: u64,
    pub(crate) completed: u64,
    pub(crate) diverged: u64,
    pub(crate) ended: BTreeMap<&'static str, u64>,
    pub(crate) given_up: u64,
    pub(crate) campaigns_ended: usize,
    pub(crate) days: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Submit,
    Restart,
    Join,
    Heartbeat,
    Checkpoint,
    Preempt,
    Crash,
    Cut,
}

/// A place for a worker: one process after another.
#[derive(Debug)]
struct Place {
    worker: WorkerId,
    life: u64,
    is_alive: bool,
    is_connected: bool,
    training: Option<Training>,
}

#[derive(Debug, Clone, Copy)]
struct Training {
    key: AttemptKey,
    step: u64,
    end: u64,
    step_ms: u64,
}

pub(crate) struct Fleet {
    scheduler: Scheduler,
    random: Random,
    now: u64,
    plans: Vec<Plan>,
    places: Vec<Place>,
    /// Where each process is.
    by_worker: BTreeMap<WorkerId, usize>,
    /// What is to come: when, where, in whose life, what.
    queue: BinaryHeap<Reverse<(u64, usize, u64, Happening)>>,
    tally: Tally,
}

fn settings() -> Settings {
    Settings {
        lease_duration: Duration::from_millis(LEASE),
        heartbeat_interval: Duration::from_millis(HEARTBEAT),
        restart_grace: Duration::from_millis(LEASE),
    }
}

impl Fleet {
    pub(crate) fn new(workers: usize, stages: usize) -> Self {
        let mut fleet = Self {
            scheduler: Scheduler::new(settings()),
            random: Random::new(1),
            now: 0,
            plans: forest::plans(stages),
            places: Vec::new(),
            by_worker: BTreeMap::new(),
            queue: BinaryHeap::new(),
            tally: Tally { stages, ..Tally::default() },
        };
        // Campaigns come in the first two days, so that there are always several.
        let campaigns = fleet.plans.len() as u64;
        for index in 0..campaigns {
            fleet.queue.push(Reverse((index * 2 * DAY / campaigns, 0, 0, Happening::Submit)));
        }
        for day in 1..7 {
            fleet.queue.push(Reverse((day * RESTART + 1, 0, 0, Happening::Restart)));
        }
        for place in 0..workers {
            let worker = process(place, 0);
            fleet.places.push(Place { worker, life: 0, is_alive: false, is_connected: false, training: None });
            let at = fleet.random.next() % HEARTBEAT;
            fleet.queue.push(Reverse((at, place, 0, Happening::Join)));
        }
        fleet
    }

    pub(crate) fn run_a_week(mut self) -> Tally {
        while let Some(Reverse((at, place, life, happening))) = self.queue.pop() {
            if at > 7 * DAY || self.is_over() {
                break;
            }
            while let Some(deadline) = self.scheduler.next_deadline().filter(|deadline| deadline.0 <= at) {
                self.now = self.now.max(deadline.0);
                self.handle(Event::TimePassed);
            }
            self.now = at;
            self.happen(place, life, happening);
        }
        self.tally.days = self.now as f64 / DAY as f64;
        let ended = self.scheduler.campaigns().filter(|campaign| campaign.phase == CampaignPhase::Ended);
        self.tally.campaigns_ended = ended.count();
        self.tally
    }

    fn is_over(&self) -> bool {
        self.plans.is_empty() && self.tally.campaigns_ended == self.tally.stages.div_ceil(6).div_ceil(10_000 / 6)
    }

    fn after(&mut self, delay: u64, place: usize, happening: Happening) {
        self.queue.push(Reverse((self.now + delay, place, self.places[place].life, happening)));
    }

    fn happen(&mut self, place: usize, life: u64, happening: Happening) {
        match happening {
            Happening::Submit => {
                let plan = self.plans.pop().expect("there is a submission for each plan");
                return self.handle(Event::CampaignSubmitted { plan });
            }
            Happening::Restart => return self.restart(),
            _ => {}
        }
        if self.places[place].life != life {
            return; // Of a process that has ended.
        }
        match happening {
            Happening::Join => self.join(place),
            Happening::Heartbeat => self.heartbeat(place),
            Happening::Checkpoint => self.checkpoint(place),
            Happening::Preempt => self.preempt(place),
            Happening::Crash => self.end(place),
            Happening::Cut => self.cut(place),
            Happening::Submit | Happening::Restart => {}
        }
    }

    /// A process starts, or one that was cut off is back.
    fn join(&mut self, place: usize) {
        let is_new = !self.places[place].is_alive;
        self.places[place].is_alive = true;
        self.places[place].is_connected = true;
        let (worker, running) = (self.places[place].worker, self.in_hand(place));
        self.by_worker.insert(worker, place);
        self.handle(Event::WorkerJoined {
            worker,
            name: format!("worker {place}"),
            memory_bytes: Some([24_u64, 40, 80][place % 3] << 30),
            can: Abilities::default(),
            running,
            holds: Vec::new(),
            unfit: None,
        });
        if is_new {
            self.after(HEARTBEAT, place, Happening::Heartbeat);
            let [preemption, crash, cut] = [PREEMPTION, CRASH, CUT].map(|mean| self.random.until_next(mean));
            self.after(preemption, place, Happening::Preempt);
            self.after(crash, place, Happening::Crash);
            self.after(cut, place, Happening::Cut);
        }
    }

    fn in_hand(&self, place: usize) -> Vec<AttemptKey> {
        self.places[place].training.iter().map(|training| training.key).collect()
    }

    fn heartbeat(&mut self, place: usize) {
        if self.places[place].is_connected {
            let (worker, running) = (self.places[place].worker, self.in_hand(place));
            self.handle(Event::HeartbeatReceived { worker, running, holds: None });
        }
        self.after(HEARTBEAT, place, Happening::Heartbeat);
    }

    /// A third of a stage is done.
    fn checkpoint(&mut self, place: usize) {
        let Some(mut training) = self.places[place].training else { return };
        if !self.places[place].is_connected {
            return self.after(RECONNECTION, place, Happening::Checkpoint);
        }
        let (worker, key) = (self.places[place].worker, training.key);
        if self.random.happens(FAILURES) {
            self.places[place].training = None;
            let reason = "out of memory".to_owned();
            return self.handle(Event::AttemptFailed { worker, key, reason, started: true });
        }
        if self.random.happens(DIVERGENCES) {
            self.places[place].training = None;
            return self.handle(Event::StageDiverged { worker, key, step: training.step, loss: 20.0 });
        }
        training.step = (training.step + stride(&training)).min(training.end);
        self.handle(Event::CheckpointCommitted { worker, key, step: training.step });
        if training.step == training.end {
            self.places[place].training = None;
            let result = Measurements::new().with(VALIDATION_LOSS, 3.0).with(VALIDATION_LOSS_PER_BYTE, 0.75);
            return self.handle(Event::StageCompleted { worker, key, result });
        }
        // It may have been taken away over that report.
        if self.places[place].training.is_some_and(|now| now.key == key) {
            self.places[place].training = Some(training);
            self.after(stride(&training) * training.step_ms, place, Happening::Checkpoint);
        }
    }

    fn preempt(&mut self, place: usize) {
        let worker = self.places[place].worker;
        if let Some(Training { key, .. }) = self.places[place].training.take()
            && self.places[place].is_connected
        {
            self.handle(Event::AttemptReleased { worker, key });
        }
        if self.places[place].is_connected {
            self.handle(Event::WorkerLeft { worker, in_order: true });
        }
        self.end(place);
    }

    /// A process ends without a word, and another one starts in its place some time later.
    fn end(&mut self, place: usize) {
        let life = self.places[place].life + 1;
        self.by_worker.remove(&self.places[place].worker);
        let worker = process(place, life);
        self.places[place] = Place { worker, life, is_alive: false, is_connected: false, training: None };
        self.after(REPLACEMENT, place, Happening::Join);
    }

    fn cut(&mut self, place: usize) {
        if std::mem::replace(&mut self.places[place].is_connected, false) {
            let worker = self.places[place].worker;
            self.handle(Event::WorkerDisconnected { worker });
            self.after(RECONNECTION, place, Happening::Join);
        }
        let next = self.random.until_next(CUT);
        self.after(next, place, Happening::Cut);
    }

    /// Another coordinator continues from the ledger, and all workers join it.
    fn restart(&mut self) {
        let begin = cpu_time();
        let snapshot = self.scheduler.snapshot();
        self.scheduler = Scheduler::new(settings());
        let restored = Scheduler::restore_from(settings(), Timestamp(self.now), snapshot, []);
        self.scheduler = restored.expect("the ledger is sound");
        self.tally.slowest_restart = self.tally.slowest_restart.max(cpu_time() - begin);
        for place in 0..self.places.len() {
            if self.places[place].is_alive {
                self.places[place].is_connected = false;
                let delay = self.random.next() % (10 * SECOND);
                self.after(delay, place, Happening::Join);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        // A call at a deadline costs time but is not one of the week's events.
        self.tally.events += u64::from(event != Event::TimePassed);
        let effects = self.scheduler.handle(Timestamp(self.now), event);
        for effect in effects {
            match effect {
                Effect::Record(fact) => self.count(&fact),
                Effect::Assign { worker, key, resume_from, .. } => {
                    self.assign(worker, key, resume_from);
                }
                Effect::Revoke { worker, key } | Effect::Refuse { worker, key } => {
                    self.drop_it(worker, key);
                }
                Effect::CloseSession { worker } => self.rejoin(worker),
                // It is silent because its process has ended; the one after it is another.
                Effect::ForgetWorker { .. } => {}
                Effect::CampaignEnded { .. } => self.tally.campaigns_ended += 1,
                Effect::Forget { .. } => panic!("nobody asked for it"),
                Effect::ResultDiffers { key, .. } => panic!("{key} was trained again, and nothing was lost"),
                Effect::RejectPlan { error, .. } => panic!("a sound plan was rejected: {error}"),
            }
        }
    }

    fn count(&mut self, fact: &Fact) {
        self.tally.facts += 1;
        match fact {
            Fact::AttemptStarted { .. } => self.tally.attempts += 1,
            Fact::CheckpointCommitted { .. } => self.tally.checkpoints += 1,
            Fact::StageCompleted { .. } => self.tally.completed += 1,
            Fact::StageDiverged { .. } => self.tally.diverged += 1,
            Fact::AttemptEnded { why, .. } => {
                let kind = match why.counts_as() {
                    Some(scheduler::RetryCount::NotStarted) => "not started",
                    Some(scheduler::RetryCount::Preempted) => "preempted",
                    Some(scheduler::RetryCount::Failed) => "failed",
                    None => "revoked",
                };
                *self.tally.ended.entry(kind).or_default() += 1;
            }
            Fact::StagePoisoned { .. } => self.tally.given_up += 1,
            _ => {}
        }
    }

    fn assign(&mut self, worker: WorkerId, key: AttemptKey, resume_from: Option<u64>) {
        let Some(&place) = self.by_worker.get(&worker) else { return };
        if !self.places[place].is_connected || self.places[place].training.is_some() {
            return;
        }
        let spec = &self.scheduler.stage(&key.stage).expect("what is assigned is known").spec;
        let step = resume_from.unwrap_or(spec.steps.start);
        let step_ms = step_ms(spec.model.shape.d_model);
        let training = Training { key, step, end: spec.steps.end, step_ms };
        self.places[place].training = Some(training);
        self.after(stride(&training) * step_ms, place, Happening::Checkpoint);
    }

    fn drop_it(&mut self, worker: WorkerId, key: AttemptKey) {
        let Some(&place) = self.by_worker.get(&worker) else { return };
        let place = &mut self.places[place];
        if place.training.is_some_and(|training| training.key == key) {
            place.training = None;
        }
        self.handle(Event::RevocationConfirmed { worker, key });
    }

    fn rejoin(&mut self, worker: WorkerId) {
        if let Some(&place) = self.by_worker.get(&worker)
            && std::mem::replace(&mut self.places[place].is_connected, false)
        {
            self.after(RECONNECTION, place, Happening::Join);
        }
    }
}

/// Steps between checkpoints.
fn stride(training: &Training) -> u64 {
    (training.end - training.step).min(100)
}

fn process(place: usize, life: u64) -> WorkerId {
    WorkerId::from_content(&[(place as u64).to_le_bytes(), life.to_le_bytes()].concat())
}
