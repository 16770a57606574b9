//! The loop that turns what arrives into events, and performs the actions that the session returns. It makes no decisions.

mod proof;
mod time;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use storage::Storage;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tracing::{Instrument, debug, error, info_span, warn};
use vocabulary::AttemptKey;
use vocabulary::text::one_line;

use crate::checkpoint::Cache;
use crate::error::WorkerError;
use crate::home::Home;
use crate::jobs::{Done, Prepared, RetryPolicy, prepare, store};
use crate::leave::{Leave, orphan_grace};
use crate::login::FailedLogins;
use crate::node_cache::{InUse, NodeCache};
use crate::options::WorkerOptions;
use crate::pulse::{Quiet, Watch};
use crate::runner::{Controls, Report, Runner};
use crate::session::link::{LinkError, LinkEvent, Sender};
use crate::session::{Action, Assignment, Event, Lost, Offer, Session, Unnumbered, Unprepared, WireError, decode};
use outbox::Spool;
use proof::Proof;
use time::Time;

/// The heartbeat interval until the coordinator's welcome sets it.
const HEARTBEAT_BEFORE_WELCOME: Duration = Duration::from_secs(5);
/// How long to wait for a goodbye to be delivered.
const GOODBYE: Duration = Duration::from_secs(1);
/// How often it is said that the coordinator cannot be reached.
const BETWEEN_COMPLAINTS: Duration = Duration::from_secs(10 * 60);
/// How often to look whether training gets anywhere, where that takes long to decide.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

pub(crate) struct Shell {
    options: Arc<WorkerOptions>,
    home: Arc<Home>,
    session: Session,
    spool: Spool,
    /// Absent where it only speaks for a process that has ended.
    training_thread: Option<(Runner, mpsc::Receiver<Report>)>,
    cache: Cache,
    node_cache: NodeCache,
    /// Keeps the latest attempt's data on this machine; the training thread keeps it open.
    data_in_use: Option<InUse>,
    storage: Option<(String, Storage)>,
    /// The address of the storage that is being opened.
    opening: Option<String>,
    /// What to prepare once the storage is open.
    unprepared: Option<Assignment>,
    proof: Proof,
    time: Time,
    jobs: JoinSet<Done>,
    /// Held while a checkpoint is being stored.
    store_turn: Arc<Mutex<()>>,
    preparing: Option<(AttemptKey, AbortHandle)>,
    training: Option<(AttemptKey, Arc<Controls>)>,
    /// Sends to the coordinator while connected.
    sender: Option<Sender>,
    heartbeat: Interval,
    look: Interval,
    watch: Watch,
    /// What the training thread has been busy with at the last look.
    quiet: Option<Quiet>,
    /// Since when there has been no session.
    away_since: Option<Instant>,
    last_error: Option<LinkError>,
    /// When it was last said that the coordinator cannot be reached.
    complained: Option<Instant>,
    failed_logins: FailedLogins,
    /// Whether a coordinator has ever welcomed this worker: then a refusal is not about its configuration.
    was_welcomed: bool,
    /// Why it leaves, and by when.
    leaving: Option<(Leave, Instant)>,
    /// What it ends with once it has left, if it does not leave because it was told to.
    failure: Option<WorkerError>,
    has_departed: bool,
}

impl Shell {
    /// A shell that only delivers what is in its session.
    pub(crate) fn new(options: Arc<WorkerOptions>, home: Arc<Home>, session: Session, spool: Spool) -> Self {
        let time = Time::new(options.place.until_ms, Instant::now());
        let cache = Cache::new(options.memory_cache_bytes);
        let node_cache = NodeCache::below(&options.data_dir, options.node_cache_bytes);
        let between_looks = (options.stall_limits.step / 20).clamp(Duration::from_millis(20), BETWEEN_LOOKS);
        Self {
            options,
            home,
            session,
            spool,
            training_thread: None,
            cache,
            node_cache,
            data_in_use: None,
            storage: None,
            opening: None,
            unprepared: None,
            proof: Proof::default(),
            time,
            jobs: JoinSet::new(),
            store_turn: Arc::default(),
            preparing: None,
            training: None,
            sender: None,
            heartbeat: every(HEARTBEAT_BEFORE_WELCOME),
            look: every(between_looks),
            watch: Watch::new(Instant::now(), between_looks),
            quiet: None,
            away_since: Some(Instant::now()),
            last_error: None,
            complained: None,
            failed_logins: FailedLogins::default(),
            was_welcomed: false,
            leaving: None,
            failure: None,
            has_departed: false,
        }
    }

    /// One that trains what it is assigned, too.
    #[must_use]
    pub(crate) fn with_training(mut self, runner: Runner, reports: mpsc::Receiver<Report>) -> Self {
        self.training_thread = Some((runner, reports));
        self
    }

    /// Works until the session departs or fails. Returns why it was told to leave, if it was.
    pub(crate) async fn run(
        mut self,
        mut link: mpsc::Receiver<LinkEvent>,
        leave: &mut mpsc::Receiver<Leave>,
    ) -> Result<Option<Leave>, WorkerError> {
        loop {
            self.send_what_fits();
            if self.has_departed {
                return self.depart(link).await;
            }
            let deadline = self.deadline();
            let to_leave = self.leaves_by_itself();
            let waiting = self.sender.clone().filter(|_| self.session.has_message());
            tokio::select! {
                Some(event) = link.recv() => self.on_link(event)?,
                report = reported(&mut self.training_thread), if self.session.has_room() => {
                    let report = report.ok_or(WorkerError::TrainingThread)?;
                    self.time.note(&report);
                    self.feed(Event::Reported(report))?;
                }
                Some(done) = self.jobs.join_next() => match done {
                    Ok(done) => self.on_done(done)?,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {} // Aborted, and its attempt is over.
                },
                _ = self.heartbeat.tick() => self.feed(Event::HeartbeatDue { quiet: self.quiet })?,
                _ = self.look.tick() => self.on_look()?,
                Some(why) = leave.recv() => self.on_leave(why)?,
                () = at(deadline) => self.on_deadline()?,
                () = at(to_leave.map(|(_, at)| at)) => self.leave_by_itself(to_leave)?,
                () = at(self.proof.again_at) => self.prove_storage()?,
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
            Action::Greet(hello) => self.send_beside(Unnumbered::Hello(Box::new(hello))),
            Action::Beat(heartbeat) => self.send_beside(Unnumbered::Heartbeat(heartbeat)),
            Action::Spool(message) => self.spool.append(message),
            Action::Forget(through) => self.spool.acknowledge(through),
            Action::ForgetPredecessors(worker) => {
                let home = Arc::clone(&self.home);
                // The folder may lie on a file system that hangs, and nothing waits for this.
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = home.settle(&worker) {
                        // They are named again at the next start, which is harmless.
                        debug!(error = one_line(&error), "cannot forget the processes before this one");
                    }
                });
            }
            Action::Prepare(assignment) => return Ok(self.prepare(*assignment)),
            Action::Stop(key, stop) => {
                if let Some((_, job)) = self.preparing.take_if(|(preparing, _)| *preparing == key) {
                    job.abort();
                    return Ok(Some(Event::PreparationStopped { key }));
                }
                if self.unprepared.take_if(|unprepared| unprepared.key == key).is_some() {
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
                let began = Instant::now();
                let job = async move {
                    let result = storing.await;
                    Done::Stored { key, step, is_last, took: began.elapsed(), result }
                };
                self.jobs.spawn(job.instrument(span(key)));
            }
            Action::Configure { heartbeat_interval, storage } => self.configure(heartbeat_interval, storage)?,
            Action::Depart => self.has_departed = true,
        }
        Ok(None)
    }

    /// Sends a message that is not acknowledged. If it does not fit, the queued messages prove that the worker lives.
    fn send_beside(&self, what: Unnumbered) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(what.into());
        }
    }

    fn prepare(&mut self, assignment: Assignment) -> Option<Event> {
        let key = assignment.key;
        self.time.assigned(key);
        if self.opening.is_some() {
            self.unprepared = Some(assignment);
            return None;
        }
        let Some((_, storage)) = &self.storage else {
            let why = Unprepared::StorageFailed { reason: "the storage cannot be opened".to_owned() };
            return Some(Event::NotPrepared { key, why });
        };
        let cached = assignment.start.as_ref().and_then(|start| self.cache.get(start));
        let preparing = prepare(storage.clone(), self.node_cache.clone(), assignment, cached);
        let job = async move { Done::Prepared { key, result: preparing.await } };
        self.preparing = Some((key, self.jobs.spawn(job.instrument(span(key)))));
        None
    }

    fn configure(&mut self, heartbeat_interval: Duration, offer: Offer) -> Result<(), WorkerError> {
        self.away_since = None;
        self.complained = None;
        self.was_welcomed = true;
        if self.heartbeat.period() != heartbeat_interval {
            self.heartbeat = every(heartbeat_interval);
        }
        if self.training_thread.is_none() {
            return Ok(()); // It only speaks for a process that has ended.
        }
        let address = self.options.storage_url.clone().unwrap_or(offer.address);
        self.proof.offer = Some(Offer { address, ..offer });
        self.prove_storage()
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
                    let error = WorkerError::Protocol { url: self.options.coordinator_url.clone(), source };
                    // A coordinator that was replaced by another version may be replaced again, and the next worker of
                    // this name delivers what this one leaves.
                    if self.was_welcomed { self.give_up(error, self.options.grace) } else { Err(error) }
                }
                Err(error) => {
                    warn!(error = one_line(&error), "cannot decode a message of the coordinator");
                    Ok(())
                }
            },
            LinkEvent::Closed(source) if !source.is_retryable() && !self.was_welcomed => {
                Err(WorkerError::Refused { url: self.options.coordinator_url.clone(), source })
            }
            LinkEvent::Closed(source)
                if !self.was_welcomed && self.failed_logins.note(Instant::now(), source.is_failed_login()) =>
            {
                Err(WorkerError::Refused { url: self.options.coordinator_url.clone(), source })
            }
            LinkEvent::Closed(error) => {
                self.sender = None;
                self.complain(&error);
                self.last_error = Some(error);
                self.away_since.get_or_insert_with(Instant::now);
                self.feed(Event::Disconnected)?;
                self.leave_as_orphan()
            }
        }
    }

    /// Says that there is no connection: at once, and then rarely.
    fn complain(&mut self, error: &LinkError) {
        let now = Instant::now();
        let (url, error_line) = (self.options.coordinator_url.as_str(), one_line(error));
        if self.session.is_attached() {
            warn!(error = error_line, "the connection broke; training continues");
        } else if self.complained.is_some_and(|said| now.duration_since(said) < BETWEEN_COMPLAINTS) {
            debug!(error = error_line, "no connection");
        } else {
            self.complained = Some(now);
            let away_s = self.away_since.map_or(0, |since| now.duration_since(since).as_secs());
            if error.is_retryable() {
                warn!(coordinator = url, away_s, error = error_line, "cannot reach the coordinator; trying again");
            } else {
                warn!(
                    coordinator = url,
                    away_s,
                    error = error_line,
                    "what answers there refuses this worker, which was welcome before; training continues, and it asks again"
                );
            }
        }
    }

    /// Looks whether the training thread gets anywhere.
    fn on_look(&mut self) -> Result<(), WorkerError> {
        let Some((runner, _)) = &self.training_thread else { return Ok(()) };
        let looked = self.watch.look(Instant::now(), runner.pulse());
        self.quiet = looked.map(|(quiet, _)| quiet);
        match looked {
            Some((quiet, true)) if self.failure.is_none() => {
                error!(%quiet, device = self.options.device, "training hangs: this process ends, so that its device is free");
                self.begin_to_leave(Leave::Preempted, self.options.grace);
                self.failure = Some(WorkerError::Stalled { quiet });
                self.feed(Event::Stalled)
            }
            _ => Ok(()),
        }
    }

    fn on_done(&mut self, done: Done) -> Result<(), WorkerError> {
        match done {
            Done::Proved { result } => self.on_proved(result),
            Done::Prepared { key, result } => {
                if self.preparing.take_if(|(preparing, _)| *preparing == key).is_none() {
                    return Ok(()); // Aborted just as it finished.
                }
                match result {
                    Ok(prepared) => {
                        self.train(key, *prepared);
                        Ok(())
                    }
                    Err(error) => {
                        let why = Unprepared::from(error);
                        if let Unprepared::StorageFailed { reason } = &why {
                            self.doubt_storage(reason.clone())?;
                        }
                        self.feed(Event::NotPrepared { key, why })
                    }
                }
            }
            Done::Opened { address, result } => self.on_opened(address, result),
            Done::Stored { key, step, is_last, took, result } => {
                if result.is_ok() {
                    self.time.costs.stored(took);
                }
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
                    Err(error) => {
                        let why = Lost::from(error);
                        if let Lost::NotStored { reason } = &why {
                            self.doubt_storage(reason.clone())?;
                        }
                        self.feed(Event::CheckpointLost { key, step, why })
                    }
                }
            }
        }
    }

    fn train(&mut self, key: AttemptKey, prepared: Prepared) {
        let Prepared { task, cadence, downloaded, in_use } = prepared;
        self.data_in_use = in_use;
        // No other stage starts from a checkpoint in the middle of this one.
        if let Some((checkpoint, start)) = downloaded.zip(task.start())
            && checkpoint.stage != key.stage
        {
            self.cache.insert(checkpoint, Arc::clone(&start.blobs));
            self.session.set_holds(self.cache.stages().collect());
        }
        self.training = self.training_thread.as_ref().map(|(runner, _)| (key, runner.begin(key, task, cadence)));
    }

    fn on_leave(&mut self, why: Leave) -> Result<(), WorkerError> {
        self.begin_to_leave(why, why.within(self.options.grace, self.time.left()));
        self.has_departed |= why == Leave::AtOnce;
        self.feed(Event::LeaveRequested)?;
        self.leave_as_orphan()
    }

    /// Notes that it leaves. Of several reasons the greatest counts, and of several times the earliest.
    fn begin_to_leave(&mut self, why: Leave, within: Duration) {
        let by = Instant::now() + within;
        let known = self.leaving.unwrap_or((why, by));
        self.leaving = Some((known.0.max(why), known.1.min(by)));
    }

    /// Where both parent and coordinator are gone, which are usually the same process, nothing is waited for but a checkpoint.
    fn leave_as_orphan(&mut self) -> Result<(), WorkerError> {
        if !matches!(self.leaving, Some((Leave::ParentGone, _))) || self.away_since.is_none() {
            return Ok(());
        }
        self.begin_to_leave(Leave::ParentGone, orphan_grace(self.options.grace));
        self.feed(Event::GivenUp)
    }

    /// Leaves because of an error: with a checkpoint, and with what the coordinator has not heard of on the disk.
    fn give_up(&mut self, error: WorkerError, within: Duration) -> Result<(), WorkerError> {
        if self.failure.is_none() {
            warn!(error = one_line(&error), "giving up: a checkpoint first; what is not delivered stays on the disk");
            self.failure = Some(error);
        }
        self.begin_to_leave(Leave::Preempted, within);
        self.feed(Event::GivenUp)
    }

    /// The time by which the worker must be done or reconnected.
    fn deadline(&self) -> Option<Instant> {
        match (self.leaving, self.away_since) {
            (Some((_, deadline)), _) => Some(deadline),
            (None, Some(since)) => since.checked_add(self.options.give_up_after?),
            (None, None) => None,
        }
    }

    fn on_deadline(&mut self) -> Result<(), WorkerError> {
        if self.leaving.is_none() {
            let error = WorkerError::Unreachable {
                url: self.options.coordinator_url.clone(),
                after: self.options.give_up_after.unwrap_or_default(),
                source: self.last_error.take(),
            };
            return self.give_up(error, self.options.grace);
        }
        warn!("the grace period is over: leaving without handing the stage back");
        self.has_departed = true;
        Ok(())
    }

    async fn depart(mut self, mut link: mpsc::Receiver<LinkEvent>) -> Result<Option<Leave>, WorkerError> {
        if self.session.is_attached() {
            // Nobody knows how a process that this one speaks for has ended.
            let in_order = self.failure.is_none() && self.training_thread.is_some();
            self.send_beside(Unnumbered::Goodbye { in_order });
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
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(self.leaving.map(|(why, _)| why)),
        }
    }
}

/// The next report of the training thread; pends without one.
async fn reported(thread: &mut Option<(Runner, mpsc::Receiver<Report>)>) -> Option<Report> {
    match thread {
        Some((_, reports)) => reports.recv().await,
        None => pending().await,
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
async fn room(sender: Option<Sender>) {
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
