//! Everything around the scheduler: the store, the network, the processes, and what befalls them.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use proptest::sample::Index;
use recipes::{Plan, WorkerId};
use scheduler::{Backoff, CampaignPhase, Effect, Event, Fact, RetryLimits, Scheduler, Settings, Timestamp};

use crate::invariants::{self, Moment};
use crate::process::Process;
use crate::support::plan;

/// How many campaigns there are to be asked for.
pub(crate) const CAMPAIGNS: usize = 3;

/// Rounds of good weather after which everything has to be over: many times what it takes.
const RECOVERY_ROUNDS: usize = 400;

/// Something that befalls the world. What names a worker's slot does nothing where it makes no sense.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Submit(usize),
    Cancel(usize),
    Retry(usize),
    /// A process is started where none is, and dials.
    Connect(usize),
    /// A connection breaks; the coordinator notices at once, or when it opens anew.
    Disconnect {
        slot: usize,
        noticed: bool,
    },
    /// A process ends without a word; somebody saw it, or nobody.
    Kill {
        slot: usize,
        noticed: bool,
    },
    /// A worker trains up to its next checkpoint.
    Train(usize),
    /// A worker takes in its next order.
    Obey(usize),
    /// The coordinator takes in a worker's next message, and the acknowledgement arrives or does not.
    Hear {
        slot: usize,
        acknowledged: bool,
    },
    Heartbeat(usize),
    Diverge(usize),
    Fail {
        slot: usize,
        started: bool,
    },
    /// A worker hands back what it has.
    Leave(usize),
    /// A message that was heard before comes again.
    HearAgain(Index),
    Wait(u64),
    /// The coordinator is killed over a worker's next message, before it committed or before it sent anything.
    Crash {
        slot: usize,
        committed: bool,
    },
}

pub(crate) struct World {
    settings: Settings,
    scheduler: Scheduler,
    now: Timestamp,
    /// What is durable.
    facts: Vec<Fact>,
    plans: [Plan; CAMPAIGNS],
    slots: Vec<Option<Process>>,
    processes: usize,
    heard: Vec<Event>,
    /// What happened, for people.
    pub(crate) history: Vec<String>,
}

impl World {
    pub(crate) fn new(slots: usize) -> Self {
        let settings = Settings {
            lease_duration: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            restart_grace: Duration::from_secs(60),
            retry_limits: RetryLimits { not_started: 2, preempted: 4, failed: 1 },
            backoff: Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(20) },
        };
        let plans = [
            plan("one", &[("trunk", "", 30), ("short", "trunk", 10), ("long", "trunk", 20)]),
            plan("two", &[("trunk", "", 30), ("long", "trunk", 20), ("longer", "long", 10)]),
            plan("three", &[("first", "", 15), ("second", "", 25)]),
        ];
        Self {
            settings,
            scheduler: Scheduler::new(settings),
            now: Timestamp(0),
            facts: Vec::new(),
            plans,
            slots: vec![None; slots],
            processes: 0,
            heard: Vec::new(),
            history: Vec::new(),
        }
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// # Errors
    /// The invariant that does not hold after it.
    pub(crate) fn act(&mut self, action: &Action) -> Result<(), String> {
        self.history.push(format!("{}: {action:?}", self.now));
        match *action {
            Action::Submit(index) => self.handle(Event::CampaignSubmitted { plan: self.plans[index].clone() }),
            Action::Cancel(index) => self.handle(Event::CampaignCancelled { campaign: self.plans[index].campaign }),
            Action::Retry(index) => self.handle(Event::RetryRequested { campaign: self.plans[index].campaign }),
            Action::Connect(slot) => self.connect(slot),
            Action::Disconnect { slot, noticed } => self.disconnect(slot, noticed),
            Action::Kill { slot, noticed } => self.kill(slot, noticed),
            Action::Train(slot) => self.with(slot, Process::train),
            Action::Obey(slot) => self.obey(slot),
            Action::Hear { slot, acknowledged } => self.hear(slot, acknowledged),
            Action::Heartbeat(slot) => self.with(slot, Process::heartbeat),
            Action::Diverge(slot) => self.with(slot, |process| {
                process.end_with(|worker, stage, attempt, step| Event::StageDiverged {
                    worker,
                    stage,
                    attempt,
                    step,
                    loss: f64::NAN,
                });
            }),
            Action::Fail { slot, started } => self.with(slot, |process| {
                let reason = "disk full".to_owned();
                process.end_with(|worker, stage, attempt, _| Event::AttemptFailed {
                    worker,
                    stage,
                    attempt,
                    reason,
                    started,
                });
            }),
            Action::Leave(slot) => self.with(slot, Process::leave),
            Action::HearAgain(_) if self.heard.is_empty() => Ok(()),
            Action::HearAgain(index) => self.handle(index.get(&self.heard).clone()),
            Action::Wait(seconds) => self.wait(seconds),
            Action::Crash { slot, committed } => self.crash(slot, committed),
        }
    }

    /// Good weather: workers live, messages arrive, time goes by. Everything that is wanted has to come to its end.
    ///
    /// # Errors
    /// The invariant that does not hold on the way, or what is still open at its end.
    pub(crate) fn recover(&mut self) -> Result<(), String> {
        for _ in 0..RECOVERY_ROUNDS {
            for slot in 0..self.slots.len() {
                if self.slots[slot].as_ref().is_some_and(Process::is_leaving) {
                    self.act(&Action::Kill { slot, noticed: true })?;
                }
                if self.slots[slot].as_ref().is_none_or(|process| !process.is_connected()) {
                    self.act(&Action::Connect(slot))?;
                }
                for action in [Action::Heartbeat(slot), Action::Obey(slot), Action::Train(slot)] {
                    self.act(&action)?;
                }
                for _ in 0..4 {
                    self.act(&Action::Hear { slot, acknowledged: true })?;
                }
            }
            if self.scheduler.campaigns().all(|campaign| campaign.phase != CampaignPhase::Open) {
                return Ok(());
            }
            self.act(&Action::Wait(2))?;
        }
        let open = self.scheduler.campaigns().filter(|campaign| campaign.phase == CampaignPhase::Open);
        Err(format!("progress: still open after all went well for long: {:?}", open.collect::<Vec<_>>()))
    }

    fn with(&mut self, slot: usize, act: impl FnOnce(&mut Process)) -> Result<(), String> {
        self.slots[slot].as_mut().map(act);
        Ok(())
    }

    fn connect(&mut self, slot: usize) -> Result<(), String> {
        self.processes += 1;
        let name = format!("worker {}", self.processes);
        self.slots[slot].get_or_insert_with(|| Process::new(name)).connect();
        Ok(())
    }

    fn disconnect(&mut self, slot: usize, noticed: bool) -> Result<(), String> {
        let Some(process) = self.slots[slot].as_mut().filter(|process| process.is_connected()) else { return Ok(()) };
        let worker = process.id;
        process.disconnect();
        if noticed { self.handle(Event::WorkerDisconnected { worker }) } else { Ok(()) }
    }

    fn kill(&mut self, slot: usize, noticed: bool) -> Result<(), String> {
        let Some(process) = self.slots[slot].take() else { return Ok(()) };
        if noticed { self.handle(Event::WorkerLeft { worker: process.id }) } else { Ok(()) }
    }

    fn obey(&mut self, slot: usize) -> Result<(), String> {
        let Some(process) = self.slots[slot].as_mut() else { return Ok(()) };
        process.obey(|key| {
            let stage = self.scheduler.stage(key).expect("a worker gets stages that are known");
            (stage.spec.start_step, stage.spec.end_step)
        })
    }

    fn hear(&mut self, slot: usize, acknowledged: bool) -> Result<(), String> {
        let Some(process) = self.slots[slot].as_mut() else { return Ok(()) };
        let Some((number, event)) = process.next_message() else { return Ok(()) };
        if !matches!(event, Event::WorkerJoined { .. }) {
            self.heard.push(event.clone());
        }
        self.handle(event)?;
        if let (Some(process), Some(number), true) = (self.slots[slot].as_mut(), number, acknowledged) {
            process.acknowledge(number);
        }
        Ok(())
    }

    /// Goes from deadline to deadline, as the caller of the scheduler does.
    fn wait(&mut self, seconds: u64) -> Result<(), String> {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(deadline) = self.scheduler.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.handle(Event::TimePassed)?;
        }
        self.now = until;
        Ok(())
    }

    fn crash(&mut self, slot: usize, committed: bool) -> Result<(), String> {
        if let Some((_, event)) = self.slots[slot].as_mut().and_then(Process::next_message) {
            let effects = self.decide(event)?;
            if committed {
                self.commit(&effects);
            }
        }
        self.slots.iter_mut().flatten().for_each(Process::disconnect);
        self.now = Timestamp(0);
        let restored = Scheduler::restore(self.settings, self.now, self.facts.iter().cloned());
        self.scheduler = restored.map_err(|error| format!("{error}: {}", error.source))?;
        Ok(())
    }

    /// Has an event handled: commits, then sends.
    fn handle(&mut self, event: Event) -> Result<(), String> {
        let effects = self.decide(event)?;
        self.commit(&effects);
        for effect in effects {
            match &effect {
                Effect::Assign { worker, .. } | Effect::Revoke { worker, .. } | Effect::Refuse { worker, .. } => {
                    if let Some(process) = self.process(*worker) {
                        process.order(effect);
                    }
                }
                Effect::CloseSession { worker } => {
                    if let Some(process) = self.process(*worker) {
                        process.disconnect();
                    }
                }
                Effect::Record(_) | Effect::CampaignEnded { .. } => {}
                Effect::RejectPlan { error, .. } => return Err(format!("a good plan was rejected: {error}")),
            }
        }
        Ok(())
    }

    /// Lets the scheduler decide, and checks what it made of it.
    fn decide(&mut self, event: Event) -> Result<Vec<Effect>, String> {
        let before = self.scheduler.clone();
        let handled = panic::catch_unwind(AssertUnwindSafe(|| self.scheduler.handle(self.now, event.clone())));
        let effects = handled.map_err(|_| format!("the scheduler panicked over {event:?}"))?;
        self.history.extend(effects.iter().map(|effect| format!("    {effect:?}").chars().take(200).collect()));
        let decided = effects.iter().filter_map(|effect| match effect {
            Effect::Record(fact) => Some(fact.clone()),
            _ => None,
        });
        let facts: Vec<Fact> = self.facts.iter().cloned().chain(decided).collect();
        let moment = Moment {
            now: self.now,
            settings: self.settings,
            before: &before,
            event: &event,
            effects: &effects,
            after: &self.scheduler,
            facts: &facts,
        };
        invariants::check(&moment)?;
        Ok(effects)
    }

    fn commit(&mut self, effects: &[Effect]) {
        self.facts.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Record(fact) => Some(fact.clone()),
            _ => None,
        }));
    }

    fn process(&mut self, worker: WorkerId) -> Option<&mut Process> {
        self.slots.iter_mut().flatten().find(|process| process.id == worker)
    }
}
