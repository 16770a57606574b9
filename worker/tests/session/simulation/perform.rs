//! What the session wants done, done as the shell does it, and what it must not want.

use std::collections::VecDeque;

use proto::v1::{AttemptRef, WorkerMessage};
use worker::session::{Action, Event};

use super::process::Process;
use super::world::{Up, World, keys};
use crate::support::{attempt_of, is_end};

impl World {
    pub(super) fn feed_if_any(&mut self, event: impl FnOnce(&mut Process) -> Option<Event>) -> Result<(), String> {
        event(&mut self.process).map_or(Ok(()), |event| self.feed(event))
    }

    /// Performs what the session wants done, as the shell does it.
    pub(super) fn feed(&mut self, event: Event) -> Result<(), String> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.session.handle(event) {
                self.history.push(format!("    {action:?}"));
                events.extend(self.perform(action)?);
            }
        }
        if let Some(wire) = &mut self.wire {
            wire.up.extend(std::iter::from_fn(|| self.session.next_message()).map(Up::Report));
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Result<Option<Event>, String> {
        match action {
            Action::Greet(hello) => {
                self.check_in_hand(&hello.running)?;
                let wire = self.wire.as_mut().ok_or("a hello without a connection")?;
                wire.up.push_back(Up::Hello(hello));
            }
            Action::Beat(heartbeat) => self.check_in_hand(&heartbeat.running)?,
            Action::Spool(message) => {
                let body = message.body.as_ref().ok_or("it says nothing")?;
                if is_end(body) {
                    self.open.remove(&attempt_of(body));
                }
                if self.said.last_key_value().is_some_and(|(last, _)| *last >= message.sequence) {
                    return Err(format!("invariant_numbers_ascend: {message:?}"));
                }
                self.said.insert(message.sequence, message);
            }
            Action::Prepare(assignment) => {
                if let Some(busy) = self.process.busy_with() {
                    let key = assignment.key;
                    return Err(format!("invariant_one_attempt_is_trained_at_a_time: {key} beside {busy}"));
                }
                self.process.prepare(assignment.key);
            }
            Action::Stop(key, stop) => {
                if self.process.busy_with() != Some(key) {
                    return Err(format!("invariant_only_what_is_there_is_stopped: {key}"));
                }
                return Ok(self.process.stop(key, stop));
            }
            Action::Store { key, step, .. } => self.process.store(key, step),
            Action::Depart => {
                let unknown = self.unacknowledged().count();
                if !self.is_leaving || unknown > 0 || !self.open.is_empty() {
                    return Err(format!("invariant_it_goes_when_all_is_known: {unknown} reports are not"));
                }
                self.has_departed = true;
            }
            Action::Forget(_) | Action::ForgetPredecessors(_) | Action::Configure { .. } => {}
        }
        Ok(None)
    }

    /// What was said and may not be known.
    fn unacknowledged(&self) -> impl Iterator<Item = &WorkerMessage> {
        let unknown = self.said.range(self.acknowledged + 1..);
        unknown.filter(|(number, _)| !self.dropped.contains(number)).map(|(_, message)| message)
    }

    fn check_in_hand(&self, running: &[AttemptRef]) -> Result<(), String> {
        let mut expected = self.open.clone();
        for message in self.unacknowledged() {
            expected.insert(attempt_of(message.body.as_ref().ok_or("it says nothing")?));
        }
        let listed = keys(running)?;
        if listed != expected || listed.len() != running.len() {
            return Err(format!("invariant_a_worker_names_what_it_has_in_hand: {listed:?}, not {expected:?}"));
        }
        Ok(())
    }
}
