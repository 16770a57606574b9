//! A worker process that keeps to the protocol, with its connection.

use std::collections::{BTreeSet, VecDeque};

use recipes::{Attempt, StageKey, WorkerId};
use scheduler::{Effect, Event, StageResult};

use crate::support::worker;

/// Steps between checkpoints.
const STRIDE: u64 = 10;

/// What it trains.
#[derive(Debug, Clone)]
struct Training {
    stage: StageKey,
    attempt: Attempt,
    step: u64,
    end: u64,
    /// It was told to stop, and is finishing its step.
    stopping: bool,
}

/// Messages on their way. They are lost with the connection.
#[derive(Debug, Clone, Default)]
struct Connection {
    /// With the number of those that are to be acknowledged.
    up: VecDeque<(Option<u64>, Event)>,
    down: VecDeque<Effect>,
    /// Whether the coordinator has read the hello: before that, it sends to the connection this one replaced.
    is_greeted: bool,
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
    is_leaving: bool,
}

impl Process {
    pub(crate) fn new(name: String) -> Self {
        let id = worker(&name);
        Self { id, name, connection: None, training: None, spool: VecDeque::new(), reports: 0, is_leaving: false }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Dials, says hello, and says again what was not acknowledged.
    pub(crate) fn connect(&mut self) {
        let hello = Event::WorkerJoined {
            worker: self.id,
            name: self.name.clone(),
            memory_bytes: None,
            running: self.in_hand(),
            holds: Vec::new(),
        };
        let spooled = self.spool.iter().map(|(number, report)| (Some(*number), report.clone()));
        let up = std::iter::once((None, hello)).chain(spooled).collect();
        self.connection = Some(Connection { up, ..Connection::default() });
    }

    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    pub(crate) fn heartbeat(&mut self) {
        let heartbeat = Event::HeartbeatReceived { worker: self.id, running: self.in_hand() };
        if let Some(connection) = &mut self.connection {
            connection.up.push_back((None, heartbeat));
        }
    }

    /// The next message the coordinator reads from it.
    pub(crate) fn next_message(&mut self) -> Option<(Option<u64>, Event)> {
        let connection = self.connection.as_mut()?;
        connection.is_greeted = true;
        connection.up.pop_front()
    }

    pub(crate) fn acknowledge(&mut self, number: u64) {
        self.spool.retain(|(spooled, _)| *spooled > number);
    }

    /// Puts an order on its way, if there is one.
    pub(crate) fn order(&mut self, order: Effect) {
        if let Some(connection) = self.connection.as_mut().filter(|connection| connection.is_greeted) {
            connection.down.push_back(order);
        }
    }

    /// Takes in the next order; `end_of` says where a stage begins and ends.
    ///
    /// # Errors
    /// If it was given something while it has something else.
    pub(crate) fn obey(&mut self, steps: impl Fn(&StageKey) -> (u64, u64)) -> Result<(), String> {
        let Some(order) = self.connection.as_mut().and_then(|connection| connection.down.pop_front()) else {
            return Ok(());
        };
        match order {
            Effect::Assign { stage, attempt, resume_from, .. } => {
                if self.is_leaving || self.in_hand().contains(&(stage, attempt)) {
                    return Ok(());
                }
                if let Some(training) = &self.training {
                    let (stage, other) = (stage.short(), training.stage.short());
                    let name = &self.name;
                    return Err(format!(
                        "invariant_worker_has_one_stage_at_a_time: {name} has {other} and got {stage}"
                    ));
                }
                let (start, end) = steps(&stage);
                let step = resume_from.unwrap_or(start);
                self.training = Some(Training { stage, attempt, step, end, stopping: false });
            }
            Effect::Revoke { stage, attempt, .. } | Effect::Refuse { stage, attempt, .. } => {
                self.spool.retain(|(_, report)| claim(report) != Some((stage, attempt)));
                match &mut self.training {
                    Some(training) if (training.stage, training.attempt) == (stage, attempt) => {
                        training.stopping = true
                    }
                    _ => self.report(Event::RevocationConfirmed { worker: self.id, stage, attempt }),
                }
            }
            other => return Err(format!("no order for a worker: {other:?}")),
        }
        Ok(())
    }

    /// Trains up to the next checkpoint, or finishes the step and stops if it was told to.
    pub(crate) fn train(&mut self) {
        let worker = self.id;
        let Some(Training { stage, attempt, step, end, stopping }) = self.training.clone() else { return };
        if stopping {
            self.training = None;
            return self.report(Event::RevocationConfirmed { worker, stage, attempt });
        }
        let step = (step + STRIDE).min(end);
        self.report(Event::CheckpointCommitted { worker, stage, attempt, step });
        if step < end {
            self.training = Some(Training { stage, attempt, step, end, stopping });
        } else {
            self.training = None;
            // The loss tells which attempt it comes from.
            let result = StageResult { validation_loss: Some(f64::from(attempt.0)), validation_loss_per_byte: None };
            self.report(Event::StageCompleted { worker, stage, attempt, result });
        }
    }

    /// Ends the training with this report about it.
    pub(crate) fn end_with(&mut self, report: impl FnOnce(WorkerId, StageKey, Attempt, u64) -> Event) {
        if let Some(Training { stage, attempt, step, .. }) = self.training.take() {
            self.report(report(self.id, stage, attempt, step));
        }
    }

    /// Hands back what it has, and takes nothing any more.
    pub(crate) fn leave(&mut self) {
        self.end_with(|worker, stage, attempt, _| Event::AttemptReleased { worker, stage, attempt });
        self.is_leaving = true;
    }

    /// Attempts in training, or over with a report that is not acknowledged.
    fn in_hand(&self) -> Vec<(StageKey, Attempt)> {
        let training = self.training.iter().map(|training| (training.stage, training.attempt));
        let reported = self.spool.iter().filter_map(|(_, report)| claim(report));
        training.chain(reported).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn report(&mut self, report: Event) {
        self.reports += 1;
        self.spool.push_back((self.reports, report.clone()));
        if let Some(connection) = &mut self.connection {
            connection.up.push_back((Some(self.reports), report));
        }
    }
}

/// The attempt a report is about.
pub(crate) fn claim(event: &Event) -> Option<(StageKey, Attempt)> {
    match event {
        Event::CheckpointCommitted { stage, attempt, .. }
        | Event::StageCompleted { stage, attempt, .. }
        | Event::StageDiverged { stage, attempt, .. }
        | Event::AttemptFailed { stage, attempt, .. }
        | Event::AttemptReleased { stage, attempt, .. }
        | Event::RevocationConfirmed { stage, attempt, .. } => Some((*stage, *attempt)),
        _ => None,
    }
}
