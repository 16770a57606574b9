//! What the driver keeps of each worker: its connection, the position in its stream of reports, and its progress.

use std::collections::VecDeque;
use std::mem;

use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;
use vocabulary::{AttemptKey, Place};

use super::from_worker::{Hello, Progress, Report, ReportBody, UnusableStart};
use super::input::SessionId;
use super::to_worker::{Outgoing, ToWorker};
use super::view::Heard;
use crate::store::CurvePoint;
use crate::verify::CheckpointClaim;

/// How much may wait for a verification: a report counts as one, and one of points as so many. What comes beyond that is
/// left unheard, and the worker sends it again over a new connection once there is room.
const MAX_BACKLOG: usize = 1 << 16;

/// The conversation with one worker.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) place: Place,
    /// When this process of the coordinator first heard of it.
    known_since: Instant,
    session: Option<Live>,
    /// The worker's own count of its connections, at the latest hello.
    connection: u64,
    /// Every report up to this one is taken in. It is acknowledged once that is durable.
    pub(crate) taken_in: u64,
    /// Whether to acknowledge: a report was taken in, or was repeated.
    pub(crate) acknowledgement_due: bool,
    /// The report whose checkpoint is being read. Later reports wait, to keep their order.
    pub(crate) verifying: Option<Verifying>,
    backlog: VecDeque<(u64, Report)>,
    /// The weight of the backlog.
    waiting: usize,
    /// Whether something was left unheard on this connection.
    has_missed: bool,
    progress: Option<Running>,
}

#[derive(Debug)]
struct Live {
    id: SessionId,
    outgoing: Outgoing,
    end: CancellationToken,
}

/// A report that is taken in only after a checkpoint was read.
#[derive(Debug)]
pub(crate) struct Verifying {
    pub(crate) id: u64,
    pub(crate) sequence: u64,
    pub(crate) what: Checking,
    /// Why the checkpoint cannot be read so far, for people.
    pub(crate) trouble: Option<String>,
    /// Reads. Nobody waits for it any more once this is dropped, and then it ends.
    pub(crate) _task: AbortOnDropHandle<()>,
}

/// Which checkpoint is being read.
#[derive(Debug)]
pub(crate) enum Checking {
    /// A checkpoint that the worker says it wrote.
    Written(CheckpointClaim),
    /// A committed checkpoint that the worker could not start this attempt from.
    Start { key: AttemptKey, start: UnusableStart },
}

impl Checking {
    /// The attempt that reported it.
    pub(crate) fn key(&self) -> AttemptKey {
        match self {
            Self::Written(claim) => claim.key,
            Self::Start { key, .. } => *key,
        }
    }
}

/// The progress of an attempt, and since when this process has watched it.
#[derive(Debug, Clone)]
struct Running {
    progress: Progress,
    /// The first point and when it came, from which a speed follows until the worker states one.
    since: Option<(Instant, u64)>,
}

impl Conversation {
    pub(crate) fn new(hello: &Hello, taken_in: u64) -> Self {
        Self {
            name: hello.name.clone(),
            device: hello.device.clone(),
            place: hello.place.clone(),
            known_since: Instant::now(),
            session: None,
            connection: 0,
            taken_in,
            acknowledgement_due: false,
            verifying: None,
            backlog: VecDeque::new(),
            waiting: 0,
            has_missed: false,
            progress: None,
        }
    }

    /// Whether a hello belongs to an older connection than the last one: the network delayed it, and what it says about held
    /// attempts is outdated.
    pub(crate) fn is_overtaken(&self, hello: &Hello) -> bool {
        hello.connection != 0 && hello.connection < self.connection
    }

    /// Continues over a new connection. What was not taken in yet will be sent again, in order; what of it waits for a
    /// verification keeps waiting for that one.
    pub(crate) fn connect(&mut self, session: SessionId, hello: &Hello, outgoing: Outgoing, end: CancellationToken) {
        self.close();
        self.connection = hello.connection;
        self.name.clone_from(&hello.name);
        self.device.clone_from(&hello.device);
        self.place.clone_from(&hello.place);
        self.has_missed = false;
        self.acknowledgement_due = self.taken_in > 0;
        self.session = Some(Live { id: session, outgoing, end });
    }

    /// Whether this is the current connection, and not one that was replaced.
    pub(crate) fn is_on(&self, session: SessionId) -> bool {
        self.session.as_ref().is_some_and(|live| live.id == session)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    /// Ends the connection, if there is one.
    pub(crate) fn close(&mut self) {
        if let Some(live) = self.session.take() {
            live.end.cancel();
        }
    }

    /// Sends a message. A worker that does not read is cut off; what it misses is sent again when it comes back.
    pub(crate) fn send(&mut self, message: ToWorker) {
        let Some(live) = &self.session else { return };
        match live.outgoing.try_send(Ok(message)) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => self.close(),
            Err(TrySendError::Full(_)) => {
                warn!(worker = self.name, "does not read what it is sent; its connection is closed");
                self.close();
            }
        }
    }

    /// Queues a report. A repeated one is dropped and acknowledged again.
    pub(crate) fn enqueue(&mut self, sequence: u64, report: Report) {
        let verifying = self.verifying.as_ref().map(|verifying| verifying.sequence);
        let last = self.backlog.back().map(|(last, _)| *last).or(verifying).unwrap_or(self.taken_in);
        if sequence <= last {
            self.acknowledgement_due = true;
        } else if self.has_missed || self.waiting >= MAX_BACKLOG {
            if !mem::replace(&mut self.has_missed, true) {
                warn!(
                    worker = self.name,
                    "too many of its reports wait for a checkpoint; it has to send later ones again"
                );
            }
        } else {
            self.waiting += report.weight();
            self.backlog.push_back((sequence, report));
        }
    }

    /// The next report, unless one is being verified. A worker of which something was left unheard is cut off once there is
    /// none, so that it sends that again.
    pub(crate) fn next_report(&mut self) -> Option<(u64, Report)> {
        if self.verifying.is_some() {
            return None;
        }
        let next = self.backlog.pop_front();
        match &next {
            Some((_, report)) => self.waiting = self.waiting.saturating_sub(report.weight()),
            None if self.has_missed => self.close(),
            None => {}
        }
        next
    }

    /// Stops reading a checkpoint if its attempt does not count any more; then its report is the next one. Returns whether it
    /// was stopped.
    pub(crate) fn stop_verifying_unless(&mut self, counts: impl FnOnce(AttemptKey) -> bool) -> bool {
        let is_over = |verifying: &mut Verifying| !counts(verifying.what.key());
        let Some(Verifying { sequence, what, .. }) = self.verifying.take_if(is_over) else { return false };
        let (key, body) = match what {
            Checking::Written(claim) => (claim.key, ReportBody::Checkpoint(claim)),
            Checking::Start { key, start } => (key, ReportBody::StartUnusable(start)),
        };
        let report = Report { key, body };
        self.waiting += report.weight();
        self.backlog.push_front((sequence, report));
        true
    }

    /// Why the checkpoint that an attempt reported cannot be read so far.
    fn trouble(&self) -> Option<(AttemptKey, String)> {
        let verifying = self.verifying.as_ref()?;
        Some((verifying.what.key(), verifying.trouble.clone()?))
    }

    /// Notes that a report is taken in.
    pub(crate) fn take_in(&mut self, sequence: u64) {
        self.taken_in = sequence;
        self.acknowledgement_due = true;
    }

    /// Notes the progress in a heartbeat.
    pub(crate) fn hear_progress(&mut self, progress: Option<Progress>) {
        let before = self.progress.take();
        self.progress = progress.map(|heard| {
            let same = before.filter(|running| running.progress.key == heard.key);
            let (same, since) = same.map(|running| (running.progress, running.since)).unzip();
            // Prefer the speed measured here over the one the worker states, so that it does not flicker.
            let known = same.as_ref().map(|known| known.tokens_per_second).filter(|speed| *speed > 0.0);
            let tokens_per_second = known.unwrap_or(heard.tokens_per_second);
            // The worker's points may be ahead of its last heartbeat.
            let latest = [heard.latest, same.and_then(|known| known.latest)];
            let latest = latest.into_iter().flatten().max_by_key(|point| point.step);
            Running { progress: Progress { latest, tokens_per_second, ..heard }, since: since.flatten() }
        });
    }

    /// Notes the last of a run of points.
    pub(crate) fn hear_point(&mut self, key: AttemptKey, point: CurvePoint, tokens_a_step: u64) {
        let now = Instant::now();
        let same = self.progress.take().filter(|running| running.progress.key == key);
        let since = same.as_ref().and_then(|running| running.since).unwrap_or((now, point.step));
        let stated = same.map_or(0.0, |running| running.progress.tokens_per_second);
        let seconds = now.duration_since(since.0).as_secs_f64();
        let tokens = point.step.saturating_sub(since.1).saturating_mul(tokens_a_step) as f64;
        let tokens_per_second = if seconds > 0.0 && tokens > 0.0 { tokens / seconds } else { stated };
        let progress = Progress { key, latest: Some(point), tokens_per_second, quiet: None };
        self.progress = Some(Running { progress, since: Some(since) });
    }

    /// What people may see of it.
    pub(crate) fn heard(&self) -> Heard {
        Heard {
            device: self.device.clone(),
            place: self.place.clone(),
            known_for: self.known_since.elapsed(),
            is_connected: self.is_connected(),
            progress: self.progress.as_ref().map(|running| running.progress.clone()),
            trouble: self.trouble(),
        }
    }
}
