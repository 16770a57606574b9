//! A coordinator that takes each number once, and notices what must not be.

use std::collections::{BTreeMap, BTreeSet};

use proto::v1::{WorkerMessage, worker_message::Body};
use worker::AttemptKey;

use crate::story::STEPS;
use crate::support::{attempt_of, is_end};

/// What the coordinator knows of an attempt from its reports.
#[derive(Debug, Default)]
struct Known {
    points: u64,
    committed: Option<u64>,
    is_over: bool,
    is_completed: bool,
}

#[derive(Default)]
pub(crate) struct Coordinator {
    /// Everything up to this number is taken.
    pub(crate) position: u64,
    taken: BTreeMap<u64, WorkerMessage>,
    attempts: BTreeMap<AttemptKey, Known>,
    /// What it believes the worker to have.
    pub(crate) live: Option<AttemptKey>,
    /// Whether it took that back, and waits for the worker to confirm.
    pub(crate) is_revoking: bool,
}

impl Coordinator {
    /// Takes a report, unless it has it. `said` is everything that was given a number, and `dropped` the numbers that
    /// the worker was told to forget.
    pub(crate) fn hear(
        &mut self,
        message: WorkerMessage,
        said: &BTreeMap<u64, WorkerMessage>,
        dropped: &BTreeSet<u64>,
    ) -> Result<(), String> {
        let number = message.sequence;
        if said.get(&number) != Some(&message) {
            return Err(format!("invariant_a_number_has_one_content: {number} is {message:?}"));
        }
        if number <= self.position {
            return match self.taken.get(&number) {
                Some(_) => Ok(()),
                None => Err(format!("invariant_reports_arrive_in_order: {number} comes after {}", self.position)),
            };
        }
        let skipped = said.range(self.position + 1..number).map(|(skipped, _)| skipped);
        if let Some(lost) = skipped.into_iter().find(|skipped| !dropped.contains(skipped)) {
            return Err(format!("invariant_no_report_is_lost: {number} comes without {lost}"));
        }
        self.position = number;
        self.take_in(message.body.as_ref().ok_or("it says nothing")?)?;
        self.taken.insert(number, message);
        Ok(())
    }

    fn take_in(&mut self, body: &Body) -> Result<(), String> {
        let key = attempt_of(body);
        let known = self.attempts.entry(key).or_default();
        if known.is_over && !matches!(body, Body::RevocationConfirmed(_)) {
            return Err(format!("invariant_nothing_is_said_of_an_attempt_after_its_end: {body:?}"));
        }
        match body {
            Body::CurvePoints(points) => {
                for point in &points.points {
                    if point.step != known.points {
                        return Err(format!("invariant_curves_have_no_gaps: {} after {}", point.step, known.points));
                    }
                    known.points += 1;
                }
            }
            Body::CommitCheckpoint(commit) => {
                if commit.step > known.points || known.committed.is_some_and(|committed| committed > commit.step) {
                    return Err(format!("invariant_checkpoints_follow_their_points: {commit:?} after {known:?}"));
                }
                known.committed = Some(commit.step);
            }
            Body::StageCompleted(_) => {
                if (known.points, known.committed) != (STEPS, Some(STEPS)) {
                    return Err(format!("invariant_what_is_completed_is_complete: {known:?}"));
                }
                known.is_completed = true;
            }
            _ => {}
        }
        if is_end(body) {
            known.is_over = true;
            if self.live == Some(key) {
                self.live = None;
            }
        }
        Ok(())
    }

    pub(crate) fn has_taken(&self, number: u64) -> bool {
        self.taken.contains_key(&number)
    }

    pub(crate) fn completed(&self) -> usize {
        self.attempts.values().filter(|known| known.is_completed).count()
    }
}
