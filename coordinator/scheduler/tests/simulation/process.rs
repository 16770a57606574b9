//! A worker process that keeps to the protocol, with its connection.

use std::collections::{BTreeSet, VecDeque};

use scheduler::{Effect, Event};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Abilities, AttemptKey, Measurements, StageKey, WorkerId};

use crate::desk::Message;
use crate::support::worker;

/// Steps between checkpoints.
const STRIDE: u64 = 10;

/// What it trains.
#[derive(Debug, Clone)]
struct Training {
    key: AttemptKey,
    step: u64,
    /// Its last step; `None` of an evaluation, which has no checkpoints.
    end: Option<u64>,
    /// It was told to stop, and is finishing its step.
    stopping: bool,
}

/// A connection, with the messages on their way. Those down are lost with it; those up may still come.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Which of the process's connections it is.
    pub(crate) number: u64,
    pub(crate) up: VecDeque<Message>,
    down: VecDeque<Effect>,
}

/// A process, from its start to its end.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) id: WorkerId,
    pub(crate) name: String,
    connection: Option<Connection>,
    training: Option<Training>,
    /// Reports that are not acknowledged, with their numbers.
    spool: VecDeque<(u64, Event)>,
    reports: u64,
    connections: u64,
    /// The process that had its place before.
    predecessor: Option<WorkerId>,
    /// Completed stages whose last checkpoint it has.
    holds: Vec<StageKey>,
    is_leaving: bool,
}

impl Process {
    /// The `number`-th process, with the name of its place.
    pub(crate) fn new(number: usize, name: String, predecessor: Option<WorkerId>) -> Self {
        Self {
            id: worker(&format!("process {number}")),
            name,
            connection: None,
            training: None,
            spool: VecDeque::new(),
            reports: 0,
            connections: 0,
            predecessor,
            holds: Vec::new(),
            is_leaving: false,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// What it trains, if anything.
    pub(crate) fn trains(&self) -> Option<AttemptKey> {
        self.training.as_ref().map(|training| training.key)
    }

    /// Dials, says hello, and says again what was not acknowledged. What it said on the connection before is on its way.
    pub(crate) fn connect(&mut self) -> Option<Connection> {
        self.connections += 1;
        let event = Event::WorkerJoined {
            worker: self.id,
            name: self.name.clone(),
            memory_bytes: None,
            can: Abilities::default(),
            running: self.in_hand(),
            holds: self.holds.clone(),
            unfit: None,
        };
        let hello = Message { number: None, event, predecessor: self.predecessor };
        let spooled = self.spool.iter().map(|(number, report)| message(Some(*number), report.clone()));
        let up = std::iter::once(hello).chain(spooled).collect();
        self.connection.replace(Connection { number: self.connections, up, down: VecDeque::new() })
    }

    pub(crate) fn disconnect(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    pub(crate) fn heartbeat(&mut self) {
        let heartbeat =
            Event::HeartbeatReceived { worker: self.id, running: self.in_hand(), holds: Some(self.holds.clone()) };
        if let Some(connection) = &mut self.connection {
            connection.up.push_back(message(None, heartbeat));
        }
    }

    /// The next message on its connection, and which that is.
    pub(crate) fn next_message(&mut self) -> Option<(u64, Message)> {
        let connection = self.connection.as_mut()?;
        Some((connection.number, connection.up.pop_front()?))
    }

    pub(crate) fn acknowledge(&mut self, number: u64) {
        self.spool.retain(|(spooled, _)| *spooled > number);
    }

    /// Puts an order on its way, on the connection that the coordinator has of it; to no avail where that is over.
    pub(crate) fn order(&mut self, connection: u64, order: Effect) {
        if let Some(current) = self.connection.as_mut().filter(|current| current.number == connection) {
            current.down.push_back(order);
        }
    }

    /// Takes in the next order; `steps` says where a stage begins and ends, and nothing of an evaluation.
    ///
    /// # Errors
    /// If it was given something while it has something else.
    pub(crate) fn obey(&mut self, steps: impl Fn(&StageKey) -> Option<(u64, u64)>) -> Result<(), String> {
        let Some(order) = self.connection.as_mut().and_then(|connection| connection.down.pop_front()) else {
            return Ok(());
        };
        match order {
            Effect::Assign { key, resume_from, .. } => {
                if self.is_leaving || self.in_hand().contains(&key) {
                    return Ok(());
                }
                if let Some(training) = &self.training {
                    let (stage, other) = (key.stage.short(), training.key.stage.short());
                    let name = &self.name;
                    return Err(format!(
                        "invariant_two_attempts_never_share_a_worker: {name} has {other} and got {stage}"
                    ));
                }
                let steps = steps(&key.stage);
                let step = resume_from.or(steps.map(|(start, _)| start)).unwrap_or(0);
                let end = steps.map(|(_, end)| end);
                self.training = Some(Training { key, step, end, stopping: false });
            }
            Effect::Revoke { key, .. } | Effect::Refuse { key, .. } => {
                self.spool.retain(|(_, report)| claim(report) != Some(key));
                match &mut self.training {
                    Some(training) if training.key == key => training.stopping = true,
                    _ => self.report(Event::RevocationConfirmed { worker: self.id, key }),
                }
            }
            other => return Err(format!("no order for a worker: {other:?}")),
        }
        Ok(())
    }

    /// Trains up to the next checkpoint, or finishes the step and stops if it was told to.
    pub(crate) fn train(&mut self) {
        let worker = self.id;
        let Some(Training { key, step, end, stopping }) = self.training.clone() else { return };
        if stopping {
            self.training = None;
            return self.report(Event::RevocationConfirmed { worker, key });
        }
        let step = (step + STRIDE).min(end.unwrap_or(0));
        if end.is_some() {
            self.report(Event::CheckpointCommitted { worker, key, step });
        }
        if end.is_some_and(|end| step < end) {
            self.training = Some(Training { key, step, end, stopping });
        } else {
            self.training = None;
            self.holds.extend(end.map(|_| key.stage));
            // The loss tells which attempt it comes from.
            let result = Measurements::new().with(VALIDATION_LOSS, f64::from(key.attempt.0));
            self.report(Event::StageCompleted { worker, key, result });
        }
    }

    /// Ends the training with this report about it.
    pub(crate) fn end_with(&mut self, report: impl FnOnce(WorkerId, AttemptKey, u64) -> Event) {
        if let Some(Training { key, step, .. }) = self.training.take() {
            self.report(report(self.id, key, step));
        }
    }

    /// Hands back what it has, and takes nothing any more.
    pub(crate) fn leave(&mut self) {
        self.end_with(|worker, key, _| Event::AttemptReleased { worker, key });
        self.is_leaving = true;
    }

    /// Attempts in training, or over with a report that is not acknowledged.
    fn in_hand(&self) -> Vec<AttemptKey> {
        let training = self.training.iter().map(|training| training.key);
        let reported = self.spool.iter().filter_map(|(_, report)| claim(report));
        training.chain(reported).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn report(&mut self, report: Event) {
        self.reports += 1;
        self.spool.push_back((self.reports, report.clone()));
        if let Some(connection) = &mut self.connection {
            connection.up.push_back(message(Some(self.reports), report));
        }
    }
}

fn message(number: Option<u64>, event: Event) -> Message {
    Message { number, event, predecessor: None }
}

/// The attempt a report is about.
pub(crate) fn claim(event: &Event) -> Option<AttemptKey> {
    match event {
        Event::CheckpointCommitted { key, .. }
        | Event::StageCompleted { key, .. }
        | Event::StageDiverged { key, .. }
        | Event::AttemptFailed { key, .. }
        | Event::AttemptReleased { key, .. }
        | Event::StartUnusable { key, .. }
        | Event::StorageFailed { key, .. }
        | Event::CheckpointRefused { key, .. }
        | Event::RevocationConfirmed { key, .. } => Some(*key),
        _ => None,
    }
}
