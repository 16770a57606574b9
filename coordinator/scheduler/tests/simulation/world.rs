//! Everything around the scheduler: the store, the network, the processes, and what befalls them.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use scheduler::{CampaignPhase, Effect, Event, Fact, PlanError, Scheduler, Settings, Timestamp};
use vocabulary::{Growth, Plan, Retries, WorkerId};

use crate::action::Action;
use crate::desk::{Desk, Message, Verdict};
use crate::invariants::{self, Moment, Witness};
use crate::process::{Connection, Process};
use crate::support::{campaign, evaluations, growth, plan, search};

/// How many campaigns there are to be asked for.
pub(crate) const CAMPAIGNS: usize = 4;

/// How many things there are that campaigns may grow by.
pub(crate) const GROWTHS: usize = 10;

/// Rounds of good weather after which everything has to be over: many times what it takes.
const RECOVERY_ROUNDS: usize = 400;

pub(crate) struct World {
    settings: Settings,
    scheduler: Scheduler,
    now: Timestamp,
    /// What is durable.
    facts: Vec<Fact>,
    /// The ledger as it was stored, and after how many facts.
    snapshot: Option<(String, usize)>,
    plans: [Plan; CAMPAIGNS],
    growths: [Growth; GROWTHS],
    slots: Vec<Option<Process>>,
    /// Who was in each slot last.
    last_in: Vec<Option<WorkerId>>,
    processes: usize,
    desk: Desk,
    /// Connections that are over, with what is still on its way.
    late: Vec<(WorkerId, Connection)>,
    heard: Vec<Event>,
    witness: Witness,
    /// What happened, for people.
    pub(crate) history: Vec<String>,
}

impl World {
    pub(crate) fn new(slots: usize) -> Self {
        let settings = Settings {
            lease_duration: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            restart_grace: Duration::from_secs(60),
        };
        let mut plans = [
            plan("one", &[("trunk", "", 30), ("short", "trunk", 10), ("long", "trunk", 20)]),
            plan("two", &[("trunk", "", 30), ("long", "trunk", 20), ("longer", "long", 10)]),
            plan("three", &[("first", "", 15), ("second", "", 25)]),
            search("search", 4),
        ];
        let retries =
            Retries { not_started: 2, preempted: 4, failed: 1, backoff_ms: 2_000, longest_backoff_ms: 20_000 };
        let growths = growths(&plans);
        plans[0].retries = retries;
        plans[1].retries = Retries { failed: 3, preempted: 1, ..retries };
        plans[2].retries = Retries { backoff_ms: 0, ..retries };
        Self {
            settings,
            scheduler: Scheduler::new(settings),
            now: Timestamp(0),
            facts: Vec::new(),
            snapshot: None,
            plans,
            growths,
            slots: vec![None; slots],
            last_in: vec![None; slots],
            processes: 0,
            desk: Desk::default(),
            late: Vec::new(),
            heard: Vec::new(),
            witness: Witness::new(settings),
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
            Action::BePatient(index) => {
                let failed = self.plans[index].retries.failed + 1;
                self.plans[index].retries = Retries { failed, ..self.plans[index].retries };
                self.handle(Event::CampaignSubmitted { plan: self.plans[index].clone() })
            }
            Action::Grow(index) => self.handle(Event::GrowthRequested { growth: self.growths[index].clone() }),
            Action::Cancel(index) => self.handle(Event::CampaignCancelled { campaign: self.plans[index].campaign }),
            Action::Retry(index) => {
                let campaign = self.plans[index].campaign;
                self.handle(Event::RetryRequested { campaign, diverged: self.facts.len().is_multiple_of(2) })
            }
            Action::Connect(slot) => self.connect(slot),
            Action::Disconnect { slot, noticed } => self.disconnect(slot, noticed),
            Action::Kill { slot, noticed } => self.kill(slot, noticed),
            Action::Train(slot) => self.with(slot, Process::train),
            Action::Obey(slot) => self.obey(slot),
            Action::Hear { slot, acknowledged } => self.hear(slot, acknowledged, |event| event),
            Action::Refuse { slot, is_impossible } => self.hear(slot, true, |event| match event {
                Event::CheckpointCommitted { worker, key, .. } => {
                    Event::CheckpointRefused { worker, key, reason: "it is not there".to_owned(), is_impossible }
                }
                event => event,
            }),
            Action::Heartbeat(slot) => self.with(slot, Process::heartbeat),
            Action::Diverge(slot) => self.with(slot, |process| {
                process.end_with(|worker, key, step| Event::StageDiverged { worker, key, step, loss: f64::NAN });
            }),
            Action::Fail { slot, started } => self.with(slot, |process| {
                let reason = "disk full".to_owned();
                process.end_with(|worker, key, _| Event::AttemptFailed { worker, key, reason, started });
            }),
            Action::Leave(slot) => self.with(slot, Process::leave),
            Action::StorageFails(slot) => self.with(slot, |process| {
                let reason = "disk full".to_owned();
                process.end_with(|worker, key, _| Event::StorageFailed { worker, key, reason });
            }),
            Action::Damage(index) => self.damage(index),
            Action::CannotStart(slot) => self.with(slot, |process| {
                process.end_with(|worker, key, step| Event::StartUnusable { worker, key, of: key.stage, step });
            }),
            Action::HearLate(index) => self.hear_late(index),
            Action::HearAgain(_) if self.heard.is_empty() => Ok(()),
            Action::HearAgain(index) => self.handle(self.heard[index % self.heard.len()].clone()),
            Action::Wait(seconds) => self.wait(seconds),
            Action::Suspend { seconds, deaf } => self.suspend(seconds, deaf),
            Action::Snapshot => {
                let stored = serde_json::to_string(&self.scheduler.snapshot()).expect("a snapshot has a JSON form");
                self.snapshot = Some((stored, self.facts.len()));
                Ok(())
            }
            Action::Crash { slot, committed } => self.crash(slot, committed),
        }
    }

    /// Good weather: workers live, messages arrive, time goes by. Everything that is wanted has to come to its end, and
    /// nobody may be left with what is over.
    ///
    /// # Errors
    /// The invariant that does not hold on the way, or what is still open at its end.
    pub(crate) fn recover(&mut self) -> Result<(), String> {
        while !self.late.is_empty() {
            self.act(&Action::HearLate(0))?;
        }
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
            let is_over = self.scheduler.campaigns().all(|campaign| campaign.phase != CampaignPhase::Open);
            if is_over && self.slots.iter().flatten().all(|process| process.trains().is_none()) {
                return Ok(());
            }
            self.act(&Action::Wait(2))?;
        }
        let open = self.scheduler.campaigns().filter(|campaign| campaign.phase == CampaignPhase::Open);
        let trained = self.slots.iter().flatten().filter_map(Process::trains).map(|key| key.stage.short());
        Err(format!(
            "invariant_every_campaign_ends_and_nobody_trains_what_is_over: all went well for long, open are {:?}, \
             trained are {:?}",
            open.collect::<Vec<_>>(),
            trained.collect::<Vec<_>>()
        ))
    }

    /// Whether a process in this slot has a connection.
    pub(crate) fn is_connected(&self, slot: usize) -> bool {
        self.slots[slot].as_ref().is_some_and(Process::is_connected)
    }

    fn with(&mut self, slot: usize, act: impl FnOnce(&mut Process)) -> Result<(), String> {
        self.slots[slot].as_mut().map(act);
        Ok(())
    }

    fn damage(&mut self, index: usize) -> Result<(), String> {
        let ledger = self.scheduler.ledger();
        let committed =
            ledger.nodes().flat_map(|(work, _)| ledger.checkpoints(&work.key()).map(move |step| (work.key(), step)));
        let committed: Vec<_> = committed.collect();
        if committed.is_empty() {
            return Ok(());
        }
        let (stage, step) = committed[index % committed.len()];
        self.handle(Event::CheckpointDamaged { stage, step })
    }

    fn connect(&mut self, slot: usize) -> Result<(), String> {
        let predecessor = self.last_in[slot];
        let process = self.slots[slot].get_or_insert_with(|| {
            self.processes += 1;
            Process::new(self.processes, format!("worker {slot}"), predecessor)
        });
        self.last_in[slot] = Some(process.id);
        let before = process.connect().map(|before| (process.id, before));
        self.late.extend(before);
        Ok(())
    }

    fn disconnect(&mut self, slot: usize, noticed: bool) -> Result<(), String> {
        let Some(process) = self.slots[slot].as_mut() else { return Ok(()) };
        let worker = process.id;
        let Some(connection) = process.disconnect() else { return Ok(()) };
        if noticed {
            return self.closed(worker, connection.number);
        }
        self.late.push((worker, connection));
        Ok(())
    }

    fn kill(&mut self, slot: usize, noticed: bool) -> Result<(), String> {
        let Some(mut process) = self.slots[slot].take() else { return Ok(()) };
        let worker = process.id;
        self.late.extend(process.disconnect().map(|connection| (worker, connection)));
        if noticed { self.gone(worker, process.is_leaving()) } else { Ok(()) }
    }

    fn gone(&mut self, worker: WorkerId, in_order: bool) -> Result<(), String> {
        self.desk.forget(worker);
        self.handle(Event::WorkerLeft { worker, in_order })
    }

    /// The coordinator sees the end of a connection.
    fn closed(&mut self, worker: WorkerId, connection: u64) -> Result<(), String> {
        if self.desk.close(worker, connection) { self.handle(Event::WorkerDisconnected { worker }) } else { Ok(()) }
    }

    fn obey(&mut self, slot: usize) -> Result<(), String> {
        let Some(process) = self.slots[slot].as_mut() else { return Ok(()) };
        process.obey(|key| {
            let work = self.scheduler.work(key).expect("a worker gets what is known");
            work.stage().map(|stage| (stage.spec.steps.start, stage.spec.steps.end))
        })
    }

    fn hear(&mut self, slot: usize, acknowledged: bool, found: impl Fn(Event) -> Event) -> Result<(), String> {
        let Some(process) = self.slots[slot].as_mut() else { return Ok(()) };
        let worker = process.id;
        let Some((connection, message)) = process.next_message() else { return Ok(()) };
        let message = Message { event: found(message.event), ..message };
        let number = message.number.filter(|_| acknowledged);
        if self.take_in(worker, connection, message)?
            && let (Some(process), Some(number)) = (self.process(worker), number)
        {
            process.acknowledge(number);
        }
        Ok(())
    }

    fn hear_late(&mut self, index: usize) -> Result<(), String> {
        if self.late.is_empty() {
            return Ok(());
        }
        let index = index % self.late.len();
        let (worker, connection) = &mut self.late[index];
        let (worker, number) = (*worker, connection.number);
        if let Some(message) = connection.up.pop_front() {
            return self.take_in(worker, number, message).map(|_| ());
        }
        self.late.remove(index);
        self.closed(worker, number)
    }

    /// Whether it was heard.
    fn take_in(&mut self, worker: WorkerId, connection: u64, message: Message) -> Result<bool, String> {
        let Verdict::Heard { gone } = self.desk.judge(worker, connection, &message) else { return Ok(false) };
        if let Some(gone) = gone {
            self.gone(gone, false)?;
        }
        if !matches!(message.event, Event::WorkerJoined { .. }) {
            self.heard.push(message.event.clone());
        }
        self.handle(message.event)?;
        Ok(true)
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

    /// Nothing is handled for so long.
    fn suspend(&mut self, seconds: u64, deaf: bool) -> Result<(), String> {
        self.now = self.now + Duration::from_secs(seconds);
        if deaf { self.handle(Event::TimePassed) } else { Ok(()) }
    }

    fn crash(&mut self, slot: usize, committed: bool) -> Result<(), String> {
        let next = self.slots[slot].as_mut().and_then(|process| Some((process.id, process.next_message()?)));
        if let Some((worker, (connection, message))) = next
            && let Verdict::Heard { gone: None } = self.desk.judge(worker, connection, &message)
        {
            let effects = self.decide(message.event)?;
            if committed {
                self.commit(&effects);
            }
        }
        for process in self.slots.iter_mut().flatten() {
            process.disconnect();
        }
        self.late.clear();
        self.desk = Desk::default();
        self.now = Timestamp(0);
        let restored = Scheduler::restore(self.settings, self.now, self.facts.iter().cloned());
        self.scheduler = restored.map_err(|error| format!("{error}: {}", error.source))?;
        if let Some((stored, position)) = &self.snapshot {
            let snapshot = serde_json::from_str(stored).map_err(|error| format!("the snapshot: {error}"))?;
            let tail = self.facts[*position..].iter().cloned();
            let restored = Scheduler::restore_from(self.settings, self.now, snapshot, tail);
            let restored = restored.map_err(|error| format!("snapshot and tail: {error:?}"))?;
            if restored.ledger() != self.scheduler.ledger() || restored.ready() != self.scheduler.ready() {
                return Err("invariant_snapshot_and_tail_equal_the_log: they do not".to_owned());
            }
            // The restored one continues, so that a difference nobody thought of shows in what follows.
            self.scheduler = restored;
        }
        self.witness.note_restart(self.now, &self.scheduler);
        Ok(())
    }

    /// Has an event handled: commits, then sends.
    fn handle(&mut self, event: Event) -> Result<(), String> {
        let effects = self.decide(event)?;
        self.commit(&effects);
        for effect in effects {
            match &effect {
                Effect::Assign { worker, .. } | Effect::Revoke { worker, .. } | Effect::Refuse { worker, .. } => {
                    self.witness.note_order(&effect)?;
                    if let Some(connection) = self.desk.open_connection(*worker)
                        && let Some(process) = self.process(*worker)
                    {
                        process.order(connection, effect);
                    }
                }
                Effect::CloseSession { worker } | Effect::ForgetWorker { worker } => {
                    self.desk.forget(*worker);
                    if let Some(process) = self.process(*worker) {
                        process.disconnect();
                    }
                }
                Effect::Record(_)
                | Effect::CampaignEnded { .. }
                | Effect::ResultDiffers { .. }
                | Effect::Forget { .. } => {}
                Effect::RejectPlan {
                    error: PlanError::UnknownCampaign { .. } | PlanError::Cancelled { .. }, ..
                } => {}
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
        self.witness.note(&moment)?;
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

/// By stages that another campaign has, by new ones below a trunk and below what was a leaf, by a root; by some of it
/// twice; by evaluations of a trunk, of leaves, and of stages that two campaigns share.
fn growths(plans: &[Plan; CAMPAIGNS]) -> [Growth; GROWTHS] {
    let trunk = ("trunk", "", 30);
    [
        growth("one", &plan("one", &[trunk, ("long", "trunk", 20), ("longer", "long", 10)])),
        growth("one", &plan("one", &[trunk, ("short", "trunk", 10), ("shorter", "trunk", 5), ("root", "", 8)])),
        growth("two", &plan("two", &[trunk, ("short", "trunk", 10), ("below", "short", 10)])),
        growth("three", &plan("three", &[("first", "", 15), ("after", "first", 25), ("later", "after", 5)])),
        growth("three", &plan("three", &[("first", "", 15), ("after", "first", 25), trunk])),
        Growth::of_search(campaign("search"), 6),
        evaluations("one", &plans[0], &["trunk", "short", "long"], "news"),
        evaluations("two", &plans[1], &["long", "longer"], "news"),
        evaluations("three", &plans[2], &["second"], "code"),
        evaluations("search", &plans[3], &["searched"], "news"),
    ]
}
