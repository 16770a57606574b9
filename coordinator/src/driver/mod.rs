//! The driver: one task that takes in everything that happens, asks the scheduler what follows, commits it, and then sends
//! it.
//!
//! ```text
//! sessions --+
//! people   --+--> queue --> event --> scheduler --> one transaction --> messages, acknowledgements, answers
//! pools    --+                                      (many events)
//! timers   --+
//! ```
//!
//! It makes no choices of its own and knows neither tonic nor the wire format. It takes what is in the queue together, so
//! that many reports share one transaction.
//!
//! - Invariant: nothing is sent, acknowledged or answered before everything it depends on is durable.
//! - Invariant: the reports of one worker are taken in in order, each once.
//! - Invariant: a checkpoint is committed only after every byte of it was read and compared.

mod batch;
mod checkpoints;
pub(crate) mod collection;
mod conversation;
mod deletions;
mod events;
pub(crate) mod from_worker;
mod handle;
pub(crate) mod index;
pub(crate) mod input;
pub(crate) mod interruptions;
mod patience;
pub(crate) mod request_error;
mod requests;
mod restore;
mod sessions;
mod snapshots;
pub(crate) mod to_worker;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use scheduler::pool::Demand;
use scheduler::{Event, RestoreError, Scheduler, Settings, Timestamp};
use storage::StorageId;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;
use vocabulary::{AttemptKey, CampaignId, WorkerId};

use crate::clock::unix_ms;
use crate::counters::Counters;
use crate::home::Opened as OpenedStorage;
use crate::store::{Commit, CurvePoint, Store, StoreError, Term};
use crate::tasks::{Alarm, Panicked};
use crate::verify::Verification;
use batch::{Afterwards, Batch};
use conversation::Conversation;
use deletions::Deletions;
pub(crate) use handle::DriverHandle;
use index::Index;
use input::{Input, Request};
use interruptions::Interruptions;
use patience::Patience;
use restore::Restored;
use snapshots::Snapshots;
use view::{Notes, View};

/// Inputs that may wait. A sender of more waits, too.
const QUEUE: usize = 1024;

/// The most inputs of one turn, which bounds how long the first of them waits for its transaction. It is as many as can
/// wait, so that every heartbeat that waits when a turn begins is taken in before a deadline is.
const MAX_BATCH: usize = QUEUE;

/// Checkpoints of workers that are read at the same time.
const MOST_VERIFICATIONS: usize = 8;

/// Why the coordinator stops. What it had committed is kept.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state could not be written, so nothing more may be acknowledged.
    #[error("the coordinator's state cannot be written")]
    Commit(#[source] StoreError),
    /// The state could not be read.
    #[error("the coordinator's state cannot be read")]
    Read(#[source] StoreError),
    /// The log knows of a checkpoint that the index of checkpoints does not have.
    #[error("{stage} has a committed checkpoint at step {step} that is not in the index of checkpoints")]
    CheckpointMissing { stage: vocabulary::StageKey, step: u64 },
    /// The driver, or a task it cannot do without, panicked.
    #[error(transparent)]
    Panicked(Panicked),
    /// A coordinator that only reads was asked for a change.
    #[error("this coordinator only reads, and changes nothing")]
    ReadsOnly,
    /// The driver was dropped before it ended.
    #[error("the coordinator's task was dropped before its end")]
    Dropped,
}

/// Why the stored state cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreStateError {
    /// This coordinator cannot become the store's writer.
    #[error("cannot take over the store")]
    TakeOver(#[source] StoreError),
    /// It cannot be read.
    #[error("the coordinator's state cannot be read")]
    Read(#[source] StoreError),
    /// It contradicts itself.
    #[error("the coordinator's log cannot be restored")]
    Log(#[source] RestoreError),
}

/// Whether a driver is the store's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It is, in this term.
    Writes(Term),
    /// It answers what may be read, as things stood when it started.
    Reads,
}

impl Access {
    fn term(self) -> Term {
        match self {
            Self::Writes(term) => term,
            Self::Reads => Term::NONE,
        }
    }
}

impl RunError {
    /// Whether the writer's term is over, so that another one may begin in the same process.
    #[must_use]
    pub fn is_term_over(&self) -> bool {
        matches!(self, Self::Commit(error) | Self::Read(error) if error.is_term_over())
    }
}

impl RestoreStateError {
    /// Whether the state may be restored later: the store is away or held, or somebody else took it over.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::TakeOver(error) | Self::Read(error) if error.may_pass())
    }
}

/// See the [module's page](self).
pub(crate) struct Driver {
    scheduler: Scheduler,
    store: Arc<dyn Store>,
    access: Access,
    /// In which this driver writes.
    term: Term,
    storage: Arc<dyn ObjectStore>,
    /// The address that workers open.
    storage_url: String,
    /// What tells it from others.
    storage_id: StorageId,
    /// How much of a new checkpoint is read.
    verification: Verification,
    conversations: BTreeMap<WorkerId, Conversation>,
    notes: Arc<Notes>,
    index: Index,
    interruptions: Interruptions,
    /// Campaigns whose needed checkpoints alone take more than their quota. Each was warned about once.
    over_quota: BTreeSet<CampaignId>,
    deletions: Deletions,
    started: Instant,
    snapshots: Snapshots,
    verifications: u64,
    /// For those that read at the same time.
    verification_slots: Arc<Semaphore>,
    inputs: mpsc::Receiver<Input>,
    /// For verifications, whose outcomes come back as inputs.
    own_inputs: mpsc::Sender<Input>,
    patience: Patience,
    /// For tasks beside the driver.
    alarm: Alarm,
    alarms: mpsc::UnboundedReceiver<Panicked>,
    changes: watch::Sender<u64>,
    counters: Arc<Counters>,
    /// What the scheduler could use, for pools.
    demand: watch::Sender<Demand>,
}

impl Driver {
    /// Restores the state that the store holds. Whoever writes has begun its term before.
    pub(crate) async fn restore(
        settings: Settings,
        store: Arc<dyn Store>,
        storage: OpenedStorage,
        access: Access,
        stop: CancellationToken,
    ) -> Result<(Self, DriverHandle), RestoreStateError> {
        let started = Instant::now();
        let term = access.term();
        let Restored { scheduler, log_rows, in_snapshot } = restore::restore(settings, store.as_ref()).await?;
        let mut notes = Notes::default();
        for row in store.campaign_rows().await.map_err(RestoreStateError::Read)? {
            notes.submitted_at_ms.insert(row.campaign, row.submitted_at_ms);
        }
        let index = Index::new(store.checkpoints().await.map_err(RestoreStateError::Read)?);
        let deletions = store.deletions().await.map_err(RestoreStateError::Read)?;
        let (own_inputs, inputs) = mpsc::channel(QUEUE);
        let (changes, changed) = watch::channel(0);
        let (demand, _) = watch::channel(scheduler.demand());
        let (patience, (alarm, alarms)) = (Patience::new(stop), Alarm::new());
        let counters = Arc::<Counters>::default();
        let handle = DriverHandle::new(
            own_inputs.clone(),
            changed,
            demand.clone(),
            patience.stalls(),
            alarm.clone(),
            counters.clone(),
            term,
        );
        let conversations = BTreeMap::new();
        let driver = Self {
            scheduler,
            store,
            access,
            term,
            storage: storage.storage.store().clone(),
            storage_url: storage.address,
            storage_id: storage.id,
            verification: storage.verification,
            conversations,
            notes: Arc::new(notes),
            index,
            interruptions: Interruptions::default(),
            over_quota: BTreeSet::new(),
            deletions: Deletions::of(deletions),
            started,
            snapshots: Snapshots::after(log_rows, in_snapshot),
            verifications: 0,
            verification_slots: Arc::new(Semaphore::new(MOST_VERIFICATIONS)),
            inputs,
            own_inputs,
            patience,
            alarm,
            alarms,
            changes,
            counters,
            demand,
        };
        Ok((driver, handle))
    }

    /// Runs until it is told to stop. What was taken in is committed by then; what still waits, workers send again to the
    /// next coordinator.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), RunError> {
        if self.access != Access::Reads {
            self.resume_deletions();
        }
        loop {
            let deadline = self.next_deadline().map(|at| self.started + Duration::from_millis(at.0));
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(panicked) = self.alarms.recv() => return Err(RunError::Panicked(panicked)),
                input = self.inputs.recv() => input,
                () = sleep_until(deadline) => None,
            };
            self.turn(first).await?;
        }
        for conversation in self.conversations.values_mut() {
            conversation.close();
        }
        self.take_last_snapshot().await;
        self.finish_deletions().await;
        info!("the coordinator stops");
        Ok(())
    }

    /// One turn: takes in what waits, commits, and sends what follows.
    async fn turn(&mut self, first: Option<Input>) -> Result<(), RunError> {
        let mut batch = Batch::new(unix_ms());
        let mut next = first;
        let mut taken = 0;
        while let Some(input) = next {
            self.take_in(input, &mut batch).await?;
            taken += 1;
            next = if taken < MAX_BATCH { self.inputs.try_recv().ok() } else { None };
        }
        // Last, so that a heartbeat that waited in the queue is not late.
        let now = self.now();
        if self.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.apply(Event::TimePassed, &mut batch);
        }
        self.stop_idle_verifications(&mut batch);
        self.finish(batch).await
    }

    async fn take_in(&mut self, input: Input, batch: &mut Batch) -> Result<(), RunError> {
        match input {
            Input::SessionOpened { session, hello, caller, outgoing, end } => {
                self.on_session_opened(session, *hello, caller, outgoing, end, batch).await?;
            }
            Input::FromWorker { session, worker, message } => self.on_message(session, worker, message, batch),
            Input::SessionClosed { session, worker } => self.on_session_closed(session, worker, batch),
            Input::WorkerGone { worker } => self.on_worker_gone(worker, false, batch),
            Input::Dismissed { worker } => self.on_dismissed(worker, batch),
            Input::PoolGone { why } => {
                Arc::make_mut(&mut self.notes).pools_gone.push(why);
                batch.is_visible = true;
            }
            Input::Draining => {
                self.apply(Event::DrainRequested, batch);
            }
            Input::Verified { worker, verification, outcome } => {
                self.on_verified(worker, verification, outcome, batch);
            }
            Input::CannotVerifyYet { worker, verification, trouble } => {
                self.on_cannot_verify_yet(worker, verification, trouble, batch);
            }
            Input::Examined { worker, verification, found } => {
                self.on_examined(worker, verification, found, batch)?;
            }
            Input::StartGone { worker, key, of, step } => {
                self.apply(Event::StartUnusable { worker, key, of, step }, batch);
            }
            Input::Deleted { folder } => self.on_deleted(folder, batch),
            Input::Request(Request::Submit { submission, reply }) => self.on_submit(*submission, reply, batch),
            Input::Request(Request::Extend { extension, reply }) => self.on_extend(*extension, reply, batch),
            Input::Request(Request::Cancel { selector, reply }) => self.on_cancel(&selector, reply, batch),
            Input::Request(Request::Retry { selector, diverged, reply }) => {
                self.on_retry(&selector, diverged, reply, batch);
            }
            Input::Request(Request::Forget { campaign, datasets, reply }) => {
                self.on_forget(campaign, datasets, reply, batch);
            }
            Input::Request(Request::Collect { checkpoints, reply }) => self.on_collect(checkpoints, reply, batch),
            Input::Request(Request::Look(reply)) => batch.afterwards.push(Afterwards::Look(reply)),
        }
        Ok(())
    }

    /// Commits, then sends what follows, in order.
    async fn finish(&mut self, mut batch: Batch) -> Result<(), RunError> {
        if !batch.is_durable_already() {
            if self.access == Access::Reads {
                return Err(RunError::ReadsOnly);
            }
            let commit = batch.take_commit();
            let begun = Instant::now();
            let committed = self.patience.call("commit", || self.store.commit(self.term, &commit)).await;
            committed.map_err(RunError::Commit)?;
            let sizes = commit.checkpoints.iter().map(|checkpoint| checkpoint.bytes);
            self.counters.committed(begun.elapsed(), &commit.facts, sizes, self.tokens(&commit));
            self.snapshots.note(commit.facts.len());
        }
        for (worker, welcome) in std::mem::take(&mut batch.welcomes) {
            self.send(worker, welcome);
        }
        self.acknowledge();
        let mut view = None;
        for afterwards in batch.afterwards {
            match afterwards {
                Afterwards::Send { worker, message } => self.send(worker, message),
                Afterwards::Assign { worker, key, start } => {
                    self.send_assignment(worker, key, start).await?;
                }
                Afterwards::DeleteFiles(removed) => self.delete_files(removed),
                Afterwards::DeleteFolder(folder) => self.delete_folder(folder),
                Afterwards::CloseSession { worker } => self.close(worker),
                Afterwards::ForgetWorker { worker } => self.forget(worker),
                Afterwards::Answer(answer) => answer(),
                Afterwards::Look(reply) => {
                    let view = view.get_or_insert_with(|| Arc::new(self.view()));
                    // Whoever asked may be gone.
                    let _ = reply.send(Arc::clone(view));
                }
            }
        }
        if batch.is_visible {
            self.changes.send_modify(|version| *version += 1);
        }
        if self.demand.receiver_count() > 0 {
            let demand = self.scheduler.demand();
            self.demand.send_if_modified(|known| {
                let is_news = *known != demand;
                *known = demand;
                is_news
            });
        }
        self.take_snapshot_if_due();
        Ok(())
    }

    /// The tokens of the steps whose points are committed.
    fn tokens(&self, commit: &Commit) -> u64 {
        let tokens = |(key, points): &(AttemptKey, Vec<CurvePoint>)| {
            let batch = self.scheduler.stage(&key.stage).map_or(0, |stage| stage.spec.batch.tokens());
            batch.saturating_mul(points.len() as u64)
        };
        commit.curve.iter().map(tokens).fold(0, u64::saturating_add)
    }

    /// When time has to pass. For who only reads it stands still: leases are the affair of the coordinator that writes.
    fn next_deadline(&self) -> Option<Timestamp> {
        self.scheduler.next_deadline().filter(|_| self.access != Access::Reads)
    }

    /// A copy of the state for people, which takes a moment however large the state is.
    fn view(&self) -> View {
        View {
            scheduler: self.scheduler.clone(),
            heard: self.conversations.iter().map(|(worker, conversation)| (*worker, conversation.heard())).collect(),
            notes: Arc::clone(&self.notes),
            index: self.index.clone(),
        }
    }

    /// The scheduler's clock.
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
