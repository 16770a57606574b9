//! When a worker leaves by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use tracing::info;
use vocabulary::AttemptKey;

use super::Shell;
use crate::error::WorkerError;
use crate::leave::Leave;
use crate::runner::Report;
use crate::term::{Costs, until_leaving};

/// What decides when a worker leaves by itself.
#[derive(Debug)]
pub(super) struct Time {
    /// When its machine is taken away.
    until: Option<Instant>,
    pub(super) costs: Costs,
    /// The attempt that it was given last, until the first steps of it are done.
    starting: Option<(AttemptKey, Instant)>,
    /// Since when it has been with the coordinator without anything to do.
    idle_since: Option<Instant>,
}

impl Time {
    /// Of a worker that has its machine until this time, in milliseconds since 1970. From now on a clock counts that nobody
    /// sets.
    pub(super) fn new(until_ms: Option<u64>, now: Instant) -> Self {
        let until = until_ms.map(|until_ms| {
            let left = (UNIX_EPOCH + Duration::from_millis(until_ms)).duration_since(SystemTime::now());
            now + left.unwrap_or_default()
        });
        Self { until, costs: Costs::default(), starting: None, idle_since: None }
    }

    /// How long it still has its machine; `None` if it does not know.
    pub(super) fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.duration_since(Instant::now()))
    }

    pub(super) fn assigned(&mut self, key: AttemptKey) {
        self.starting = Some((key, Instant::now()));
    }

    pub(super) fn note(&mut self, report: &Report) {
        if let Report::Points { key, .. } = report
            && let Some((_, since)) = self.starting.take_if(|(starting, _)| starting == key)
        {
            self.costs.started(since.elapsed());
        }
    }
}

impl Shell {
    /// Why and when it leaves by itself, as things stand; `None` if it stays, or leaves already.
    pub(super) fn leaves_by_itself(&mut self) -> Option<(Leave, Instant)> {
        let is_idle = self.session.is_idle();
        // One that no coordinator has ever welcomed has nothing to keep, and holds a machine.
        let waits = is_idle && (self.session.is_attached() || !self.was_welcomed);
        self.time.idle_since = waits.then(|| self.time.idle_since.unwrap_or_else(Instant::now));
        if self.leaving.is_some() {
            return None;
        }
        let time_up = self.time.until.map(|until| {
            let now = Instant::now();
            let left = until.duration_since(now);
            (Leave::TimeUp, now + until_leaving(left, self.options.grace, &self.time.costs, is_idle))
        });
        let idle = self.time.idle_since.zip(self.options.idle_timeout);
        let idle = idle.and_then(|(since, timeout)| Some((Leave::Idle, since.checked_add(timeout)?)));
        [time_up, idle].into_iter().flatten().min_by_key(|(_, at)| *at)
    }

    pub(super) fn leave_by_itself(&mut self, why: Option<(Leave, Instant)>) -> Result<(), WorkerError> {
        let Some((why, _)) = why else { return Ok(()) };
        match (why, self.time.left()) {
            (Leave::TimeUp, Some(left)) => {
                info!(left_s = left.as_secs(), "leaving: this machine is taken away soon (--until)");
            }
            _ if !self.was_welcomed => info!("leaving: no coordinator was reached (--idle-timeout)"),
            _ => info!("leaving: there was nothing to do (--idle-timeout)"),
        }
        self.on_leave(why)
    }
}
