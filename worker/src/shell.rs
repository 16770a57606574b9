//! The loop that turns what arrives into events, and performs the actions that the session returns. It makes no decisions.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use proto::v1::{Goodbye, WorkerMessage, worker_message::Body};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::{Instrument, debug, info, info_span, warn};
use vocabulary::AttemptKey;
use vocabulary::text::one_line;

use crate::checkpoint::Cache;
use crate::error::WorkerError;
use crate::exit::WorkerExit;
use crate::home::Home;
use crate::jobs::{Done, Prepared, RetryPolicy, prepare, store};
use crate::leave::Leave;
use crate::options::WorkerOptions;
use crate::runner::{Controls, Report, Runner};
use crate::session::link::{LinkError, LinkEvent};
use crate::session::{Action, Assignment, Event, Session, Unprepared, WireError, decode};
use crate::storage::Storage;
use outbox::Spool;

/// The heartbeat interval until the coordinator's welcome sets it.
const HEARTBEAT_BEFORE_WELCOME: Duration = Duration::from_secs(5);
/// How long to wait for a goodbye to be delivered.
const GOODBYE: Duration = Duration::from_secs(1);

pub(crate) struct Shell {
    options: WorkerOptions,
    home: Home,
    session: Session,
    spool: Spool,
    runner: Runner,
    cache: Cache,
    storage: Option<(String, Storage)>,
    jobs: JoinSet<Done>,
    /// Held while a checkpoint is being stored.
    store_turn: Arc<Mutex<()>>,
    preparing: Option<(AttemptKey, AbortHandle)>,
    training: Option<(AttemptKey, Arc<Controls>)>,
    /// Sends to the coordinator while connected.
    sender: Option<mpsc::Sender<WorkerMessage>>,
    heartbeat: Interval,
    /// Since when there has been no session.
    away_since: Option<Instant>,
    last_error: Option<LinkError>,
    leaving: Option<(Leave, Instant)>,
    has_departed: bool,
}

impl Shell {
    pub(crate) fn new(options: WorkerOptions, home: Home, session: Session, spool: Spool, runner: Runner) -> Self {
        let cache = Cache::new(options.cache_bytes);
        Self {
            options,
            home,
            session,
            spool,
            runner,
            cache,
            storage: None,
            jobs: JoinSet::new(),
            store_turn: Arc::default(),
            preparing: None,
            training: None,
            sender: None,
            heartbeat: every(HEARTBEAT_BEFORE_WELCOME),
            away_since: Some(Instant::now()),
            last_error: None,
            leaving: None,
            has_departed: false,
        }
    }

    /// Works until the session departs or fails.
    pub(crate) async fn run(
        mut self,
        mut link: mpsc::Receiver<LinkEvent>,
        mut reports: mpsc::Receiver<Report>,
        mut leave: mpsc::Receiver<Leave>,
    ) -> Result<WorkerExit, WorkerError> {
        loop {
            self.send_what_fits();
            if self.has_departed {
                return Ok(self.depart(link).await);
            }
            let deadline = self.deadline();
            let waiting = self.sender.clone().filter(|_| self.session.has_message());
            tokio::select! {
                Some(event) = link.recv() => self.on_link(event)?,
                report = reports.recv(), if self.session.has_room() => {
                    self.feed(Event::Reported(report.ok_or(WorkerError::TrainingThread)?))?;
                }
                Some(done) = self.jobs.join_next() => match done {
                    Ok(done) => self.on_done(done)?,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {} // Aborted, and its attempt is over.
                },
                _ = self.heartbeat.tick() => self.feed(Event::HeartbeatDue)?,
                Some(why) = leave.recv() => self.on_leave(why)?,
                () = at(deadline) => self.on_deadline()?,
                () = room(waiting) => {}
            }
        }
    }

    /// Sends as much as the connection takes. The rest waits until it has room.
    fn send_what_fits(&mut self) {
        let Some(sender) = &self.sender else { return };
        while self.session.has_message() {
            let Ok(permit) = sender.try_reserve() else { return };
            if let Some(message) = self.session.next_message() {
                permit.send(message);
            }
        }
    }

    fn feed(&mut self, event: Event) -> Result<(), WorkerError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.session.handle(event) {
                events.extend(self.perform(action)?);
            }
        }
        Ok(())
    }

    /// Performs an action. Some result in an event at once.
    fn perform(&mut self, action: Action) -> Result<Option<Event>, WorkerError> {
        match action {
            Action::Greet(hello) => self.send_beside(Body::Hello(hello)),
            Action::Beat(heartbeat) => self.send_beside(Body::Heartbeat(heartbeat)),
            Action::Spool(message) => self.spool.append(message),
            Action::Forget(through) => self.spool.acknowledge(through),
            Action::ForgetPredecessors(worker) => {
                if let Err(error) = self.home.settle(&worker) {
                    // They are named again at the next start, which is harmless.
                    debug!(error = one_line(&error), "cannot forget the processes before this one");
                }
            }
            Action::Prepare(assignment) => return Ok(self.prepare(*assignment)),
            Action::Stop(key, stop) => {
                if let Some((_, job)) = self.preparing.take_if(|(preparing, _)| *preparing == key) {
                    job.abort();
                    return Ok(Some(Event::PreparationStopped { key }));
                }
                if let Some((_, controls)) = self.training.as_ref().filter(|(training, _)| *training == key) {
                    controls.stop(stop);
                }
            }
            Action::Store { key, step, is_last, blobs } => {
                let Some((_, storage)) = &self.storage else { return Ok(None) };
                let policy = if is_last { RetryPolicy::LAST } else { RetryPolicy::USUAL };
                let storing = store(storage.clone(), Arc::clone(&self.store_turn), key, step, policy, blobs);
                let job = async move { Done::Stored { key, step, is_last, result: storing.await } };
                self.jobs.spawn(job.instrument(span(key)));
            }
            Action::Configure { heartbeat_interval, storage } => self.configure(heartbeat_interval, storage)?,
            Action::Depart => self.has_departed = true,
        }
        Ok(None)
    }

    /// Sends a message that is not acknowledged. If it does not fit, the queued messages prove that the worker lives.
    fn send_beside(&self, body: Body) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(WorkerMessage { sequence: 0, body: Some(body) });
        }
    }

    fn prepare(&mut self, assignment: Assignment) -> Option<Event> {
        let key = assignment.key;
        let Some((_, storage)) = &self.storage else {
            let why = Unprepared::Failed { reason: "the coordinator named no storage".to_owned() };
            return Some(Event::NotPrepared { key, why });
        };
        let cached = assignment.start.as_ref().and_then(|start| self.cache.get(start));
        let preparing = prepare(storage.clone(), self.options.data_dir.join("datasets"), assignment, cached);
        let job = async move { Done::Prepared { key, result: preparing.await } };
        self.preparing = Some((key, self.jobs.spawn(job.instrument(span(key)))));
        None
    }

    fn configure(&mut self, heartbeat_interval: Duration, address: String) -> Result<(), WorkerError> {
        self.away_since = None;
        if self.heartbeat.period() != heartbeat_interval {
            self.heartbeat = every(heartbeat_interval);
        }
        if self.storage.as_ref().is_none_or(|(known, _)| *known != address) {
            let storage = Storage::open(&address)?;
            info!(storage = address, "welcome");
            self.storage = Some((address, storage));
        }
        Ok(())
    }

    fn on_link(&mut self, event: LinkEvent) -> Result<(), WorkerError> {
        match event {
            LinkEvent::Opened(sender) => {
                self.sender = Some(sender);
                self.feed(Event::Connected)
            }
            LinkEvent::Received(message) => match decode(*message) {
                Ok(received) => self.feed(Event::Received(received)),
                Err(source @ WireError::Protocol { .. }) => {
                    Err(WorkerError::Protocol { url: self.options.coordinator_url.clone(), source })
                }
                Err(error) => {
                    warn!(error = one_line(&error), "cannot decode a message of the coordinator");
                    Ok(())
                }
            },
            LinkEvent::Closed(source) if !source.is_retryable() => {
                Err(WorkerError::Refused { url: self.options.coordinator_url.clone(), source })
            }
            LinkEvent::Closed(error) => {
                let was_open = self.sender.take().is_some();
                if was_open {
                    warn!(error = one_line(&error), "the connection broke; training continues");
                } else {
                    debug!(error = one_line(&error), "no connection");
                }
                self.last_error = Some(error);
                self.away_since.get_or_insert_with(Instant::now);
                self.has_departed |= self.is_orphan();
                self.feed(Event::Disconnected)
            }
        }
    }

    fn on_done(&mut self, done: Done) -> Result<(), WorkerError> {
        match done {
            Done::Prepared { key, result } => {
                if self.preparing.take_if(|(preparing, _)| *preparing == key).is_none() {
                    return Ok(()); // Aborted just as it finished.
                }
                match result {
                    Ok(prepared) => {
                        self.train(key, *prepared);
                        Ok(())
                    }
                    Err(error) => self.feed(Event::NotPrepared { key, why: error.into() }),
                }
            }
            Done::Stored { key, step, is_last, result } => {
                if let Some((_, controls)) = self.training.as_ref().filter(|(training, _)| *training == key) {
                    controls.stored();
                }
                match result {
                    Ok((checkpoint, blobs)) => {
                        if is_last {
                            self.cache.insert(checkpoint.clone(), blobs);
                            self.session.set_holds(self.cache.stages().collect());
                        }
                        self.feed(Event::CheckpointStored { key, checkpoint })
                    }
                    Err(error) => self.feed(Event::CheckpointLost { key, step, why: error.into() }),
                }
            }
        }
    }

    fn train(&mut self, key: AttemptKey, prepared: Prepared) {
        let Prepared { task, cadence, downloaded } = prepared;
        // No other stage starts from a checkpoint in the middle of this one.
        if let Some((checkpoint, start)) = downloaded.zip(task.start())
            && checkpoint.stage != key.stage
        {
            self.cache.insert(checkpoint, Arc::clone(&start.blobs));
            self.session.set_holds(self.cache.stages().collect());
        }
        self.training = Some((key, self.runner.begin(key, task, cadence)));
    }

    fn on_leave(&mut self, why: Leave) -> Result<(), WorkerError> {
        let deadline = Instant::now() + why.grace(self.options.grace);
        if self.leaving.is_none_or(|(known, _)| known < why) {
            self.leaving = Some((why, deadline));
        }
        self.has_departed |= why == Leave::AtOnce || self.is_orphan();
        self.feed(Event::LeaveRequested)
    }

    /// Whether both parent and coordinator are gone. They are usually the same process.
    fn is_orphan(&self) -> bool {
        matches!(self.leaving, Some((Leave::ParentGone, _))) && self.away_since.is_some()
    }

    /// The time by which the worker must be done or reconnected.
    fn deadline(&self) -> Option<Instant> {
        match (self.leaving, self.away_since) {
            (Some((_, deadline)), _) => Some(deadline),
            (None, Some(since)) => Some(since + self.options.give_up_after),
            (None, None) => None,
        }
    }

    fn on_deadline(&mut self) -> Result<(), WorkerError> {
        if self.leaving.is_none() {
            return Err(WorkerError::Unreachable {
                url: self.options.coordinator_url.clone(),
                after: self.options.give_up_after,
                source: self.last_error.take(),
            });
        }
        warn!("the grace period is over: leaving without handing the stage back");
        self.has_departed = true;
        Ok(())
    }

    async fn depart(mut self, mut link: mpsc::Receiver<LinkEvent>) -> WorkerExit {
        if self.session.is_attached() {
            self.send_beside(Body::Goodbye(Goodbye {}));
            // Ends the stream after the goodbye; the coordinator then ends it on its side.
            self.sender = None;
            let closed = async {
                while let Some(event) = link.recv().await {
                    if matches!(event, LinkEvent::Closed(_)) {
                        return;
                    }
                }
            };
            if timeout(GOODBYE, closed).await.is_err() {
                debug!("the coordinator did not end the session");
            }
        }
        self.leaving.map_or(WorkerExit::Done, |(why, _)| why.exit())
    }
}

fn span(key: AttemptKey) -> tracing::Span {
    info_span!("attempt", stage = %key.stage, attempt = key.attempt.0)
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Resolves once the connection has room for another message; pends if there is none to send.
async fn room(sender: Option<mpsc::Sender<WorkerMessage>>) {
    match sender {
        Some(sender) => {
            // A lost connection has an event of its own.
            if sender.reserve().await.is_err() {
                pending().await
            }
        }
        None => pending().await,
    }
}
