//! A session, its process, its coordinator, and the wire between them: what can happen, and what has to have come of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use outbox::Queue;
use proptest::sample::Index;
use proto::v1::{AttemptRef, Hello, WorkerMessage};
use vocabulary::{Stage, WorkerId};
use worker::AttemptKey;
use worker::session::{Assignment, Event, Identity, Received, Session};

use super::coordinator::Coordinator;
use super::process::{Process, Progress};
use crate::story::STEPS;
use crate::support::{attempt, attempt_of, is_end, stage};

/// Bytes at which the queue counts as full: a few reports.
const ROOM: usize = 600;

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Connect,
    /// What is on its way is lost, in both directions.
    Disconnect,
    /// The coordinator reads a message.
    Hear {
        acknowledged: bool,
    },
    /// The session reads one.
    Obey,
    Assign,
    AssignAgain,
    /// The coordinator takes back what the worker has.
    Revoke,
    /// It wants a checkpoint and the slot.
    Recall,
    /// It takes back any attempt there ever was.
    RevokeAny(Index),
    /// It denies any attempt there ever was.
    RefuseAny(Index),
    Prepare {
        succeeds: bool,
    },
    Train(Progress),
    /// The session hears from the training thread, if it wants to.
    Report,
    Store {
        succeeds: bool,
    },
    Heartbeat,
    Leave,
}

pub(super) enum Up {
    Hello(Hello),
    Report(WorkerMessage),
}

#[derive(Default)]
pub(super) struct Wire {
    pub(super) up: VecDeque<Up>,
    down: VecDeque<Received>,
    /// Whether the coordinator has read the hello: before that it says nothing here.
    is_greeted: bool,
}

pub(crate) struct World {
    pub(crate) history: Vec<String>,
    pub(super) session: Session,
    pub(super) process: Process,
    coordinator: Coordinator,
    pub(super) wire: Option<Wire>,
    stage: Stage,
    /// Attempts there ever were, numbered from one.
    attempts: u32,
    /// Everything that was given a number.
    pub(super) said: BTreeMap<u64, WorkerMessage>,
    /// What the session was told to forget, of what it had said.
    pub(super) dropped: BTreeSet<u64>,
    /// What the session knows to be durable.
    pub(super) acknowledged: u64,
    /// Attempts that were given to the session, and of whose end it said nothing.
    pub(super) open: BTreeSet<AttemptKey>,
    pub(super) is_leaving: bool,
    pub(super) has_departed: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        let worker = WorkerId::from_content(b"a worker");
        let identity = Identity {
            worker,
            name: "w".to_owned(),
            device: "paper".to_owned(),
            memory_bytes: None,
            can: vocabulary::Abilities::default(),
            predecessors: Vec::new(),
            secret: dial::Secret::new("a secret"),
            place: vocabulary::Place::default(),
        };
        Self {
            history: Vec::new(),
            session: Session::new(identity, Queue::new(ROOM, 1)),
            process: Process::default(),
            coordinator: Coordinator::default(),
            wire: None,
            stage: stage("a", None, STEPS),
            attempts: 0,
            said: BTreeMap::new(),
            dropped: BTreeSet::new(),
            acknowledged: 0,
            open: BTreeSet::new(),
            is_leaving: false,
            has_departed: false,
        }
    }

    /// Stages that were completed.
    pub(crate) fn completed(&self) -> usize {
        self.coordinator.completed()
    }

    /// # Errors
    /// If an invariant does not hold afterwards.
    pub(crate) fn act(&mut self, step: &Step) -> Result<(), String> {
        if self.has_departed {
            return Ok(());
        }
        self.history.push(format!("{step:?}"));
        match step {
            Step::Connect if self.wire.is_none() => {
                self.wire = Some(Wire::default());
                self.feed(Event::Connected)?;
            }
            Step::Connect => {}
            Step::Disconnect => {
                if self.wire.take().is_some() {
                    self.feed(Event::Disconnected)?;
                }
            }
            Step::Hear { acknowledged } => self.hear(*acknowledged)?,
            Step::Obey => self.obey()?,
            Step::Assign => self.assign(),
            Step::AssignAgain => {
                if let Some(live) = self.coordinator.live.filter(|_| !self.coordinator.is_revoking) {
                    self.order(Received::Assigned(self.assignment(live)));
                }
            }
            Step::Revoke => {
                if let Some(live) = self.coordinator.live {
                    self.coordinator.is_revoking = true;
                    self.order(Received::Revoked(live));
                }
            }
            Step::Recall => {
                if let Some(live) = self.coordinator.live {
                    self.coordinator.is_revoking = true;
                    self.order(Received::Recalled(live));
                }
            }
            Step::RevokeAny(index) => {
                if let Some(any) = self.any(index) {
                    self.coordinator.is_revoking |= self.coordinator.live == Some(any);
                    self.order(Received::Revoked(any));
                }
            }
            Step::RefuseAny(index) => {
                if let Some(any) = self.any(index) {
                    self.coordinator.live.take_if(|live| *live == any);
                    self.order(Received::Refused { key: any, reason: String::new() });
                }
            }
            Step::Prepare { succeeds } => self.feed_if_any(|process| process.prepared(*succeeds))?,
            Step::Train(progress) => self.process.train(*progress),
            Step::Report if self.session.has_room() => self.feed_if_any(Process::next_report)?,
            Step::Report => {}
            Step::Store { succeeds } => self.feed_if_any(|process| process.settle(*succeeds))?,
            Step::Heartbeat => self.feed(Event::HeartbeatDue { quiet: None })?,
            Step::Leave => {
                self.is_leaving = true;
                self.feed(Event::LeaveRequested)?;
            }
        }
        Ok(())
    }

    /// Lets everything go well until nothing more happens, and looks at what came of it.
    ///
    /// # Errors
    /// If an invariant does not hold, or something did not arrive.
    pub(crate) fn recover(&mut self) -> Result<(), String> {
        let round = [
            Step::Connect,
            Step::Hear { acknowledged: true },
            Step::Obey,
            Step::Prepare { succeeds: true },
            Step::Train(Progress::Step),
            Step::Report,
            Step::Store { succeeds: true },
        ];
        for _ in 0..200 + 4 * self.history.len() {
            round.iter().try_for_each(|step| self.act(step))?;
        }
        let unheard =
            self.said.keys().find(|number| !self.coordinator.has_taken(**number) && !self.dropped.contains(number));
        if let Some(number) = unheard {
            return Err(format!("everything arrives: {:?} did not", self.said[number]));
        }
        if !self.process.is_idle() || !self.open.is_empty() {
            return Err(format!("everything must end: {:?} did not", self.open));
        }
        if self.is_leaving != self.has_departed {
            return Err("a worker that has to go goes, and no other".to_owned());
        }
        // A last hello holds no attempts.
        [Step::Disconnect, Step::Connect].iter().try_for_each(|step| self.act(step))
    }

    fn any(&self, index: &Index) -> Option<AttemptKey> {
        (self.attempts > 0).then(|| attempt(&self.stage, 1 + index.index(self.attempts as usize) as u32))
    }

    fn assignment(&self, key: AttemptKey) -> Box<Assignment> {
        Box::new(Assignment { key, work: self.stage.clone().into(), start: None, cadence: worker::Cadence::default() })
    }

    /// Gives the worker another attempt, if it is free as far as the coordinator knows, or about to be.
    fn assign(&mut self) {
        let is_greeted = self.wire.as_ref().is_some_and(|wire| wire.is_greeted);
        if is_greeted && (self.coordinator.live.is_none() || self.coordinator.is_revoking) {
            self.attempts += 1;
            let key = attempt(&self.stage, self.attempts);
            self.coordinator.live = Some(key);
            self.coordinator.is_revoking = false;
            self.order(Received::Assigned(self.assignment(key)));
        }
    }

    /// Puts an order on its way, if there is one.
    fn order(&mut self, order: Received) {
        if let Some(wire) = self.wire.as_mut().filter(|wire| wire.is_greeted) {
            wire.down.push_back(order);
        }
    }

    fn hear(&mut self, acknowledged: bool) -> Result<(), String> {
        match self.wire.as_mut().and_then(|wire| wire.up.pop_front()) {
            None => {}
            Some(Up::Report(message)) => self.coordinator.hear(message, &self.said, &self.dropped)?,
            Some(Up::Hello(hello)) => {
                if let Some(wire) = &mut self.wire {
                    wire.is_greeted = true;
                }
                let heartbeat_interval = Duration::from_secs(5);
                self.order(Received::Welcome { heartbeat_interval, storage: crate::story::offer() });
                // An assignment that never arrived is not in the worker's hands.
                let running = keys(&hello.running)?;
                self.coordinator.live.take_if(|live| !running.contains(live));
            }
        }
        if acknowledged && self.coordinator.position > 0 {
            self.order(Received::Acknowledged(self.coordinator.position));
        }
        Ok(())
    }

    fn obey(&mut self) -> Result<(), String> {
        let Some(order) = self.wire.as_mut().and_then(|wire| wire.down.pop_front()) else { return Ok(()) };
        match &order {
            Received::Assigned(assignment) if !self.has_said_the_end_of(assignment.key) => {
                self.open.insert(assignment.key);
            }
            Received::Acknowledged(through) => self.acknowledged = self.acknowledged.max(*through),
            Received::Refused { key, .. } => {
                let of_it = self.said.iter().filter(|(_, message)| claims(message, *key)).map(|(number, _)| *number);
                self.dropped.extend(of_it.filter(|number| *number > self.acknowledged));
            }
            _ => {}
        }
        self.feed(Event::Received(order))
    }

    fn has_said_the_end_of(&self, key: AttemptKey) -> bool {
        self.said.values().any(|message| claims(message, key) && message.body.as_ref().is_some_and(is_end))
    }
}

fn claims(message: &WorkerMessage, key: AttemptKey) -> bool {
    message.body.as_ref().is_some_and(|body| attempt_of(body) == key)
}

pub(super) fn keys(attempts: &[AttemptRef]) -> Result<BTreeSet<AttemptKey>, String> {
    attempts.iter().map(|attempt| AttemptKey::try_from(attempt).map_err(|error| error.to_string())).collect()
}
