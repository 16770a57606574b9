//! The driver's inputs: everything from sessions, people, pools and its own verifications, in one queue.

use std::sync::Arc;

use scheduler::{CampaignPhase, Weight};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use vocabulary::{AttemptKey, CampaignId, DatasetId, Growth, Plan, StageKey, WorkerId};

use super::from_worker::{FromWorker, Hello};
use super::index::Indexed;
use super::request_error::RequestError;
use super::to_worker::Outgoing;
use super::view::View;
use crate::auth::Caller;
use crate::store::StoreError;
use crate::verify::{CheckpointHealth, VerifyError};

/// A connection of a worker. Connections are numbered in the order they were opened.
pub(crate) type SessionId = u64;

/// Something that happened.
pub(crate) enum Input {
    /// A worker dialled and said hello.
    SessionOpened { session: SessionId, hello: Box<Hello>, caller: Caller, outgoing: Outgoing, end: CancellationToken },
    /// A worker sent something.
    FromWorker { session: SessionId, worker: WorkerId, message: FromWorker },
    /// The connection is over.
    SessionClosed { session: SessionId, worker: WorkerId },
    /// A worker process was seen to end.
    WorkerGone { worker: WorkerId },
    /// The pool of a worker has no use for it. It goes if it has nothing to do.
    Dismissed { worker: WorkerId },
    /// Every worker of a pool has failed for good, and none is started again.
    PoolGone { why: String },
    /// The coordinator is about to stop. Attempts that workers hand back are left to the next one.
    Draining,
    /// A checkpoint was read and compared, with its size in bytes or what is wrong with it.
    Verified { worker: WorkerId, verification: u64, outcome: Result<u64, VerifyError> },
    /// A checkpoint cannot be read so far, and is tried again.
    CannotVerifyYet { worker: WorkerId, verification: u64, trouble: String },
    /// A committed checkpoint that a worker could not use was examined; `None` if it is no longer committed.
    Examined { worker: WorkerId, verification: u64, found: Result<Option<CheckpointHealth>, StoreError> },
    /// The checkpoint that an attempt was to start from was removed before its assignment was sent.
    StartGone { worker: WorkerId, key: AttemptKey, of: StageKey, step: u64 },
    /// The files below a folder are deleted.
    Deleted { folder: String },
    /// Somebody made a request.
    Request(Request),
}

/// A request, and where its answer goes.
pub(crate) enum Request {
    Submit {
        submission: Box<Submission>,
        reply: oneshot::Sender<Result<Submitted, RequestError>>,
    },
    Extend {
        extension: Box<Extension>,
        reply: oneshot::Sender<Result<Extended, RequestError>>,
    },
    Cancel {
        selector: String,
        reply: oneshot::Sender<Result<Cancelled, RequestError>>,
    },
    Retry {
        selector: String,
        diverged: bool,
        reply: oneshot::Sender<Result<Retried, RequestError>>,
    },
    /// Forgets a campaign that is over, and deletes these datasets unless another uses them.
    Forget {
        campaign: CampaignId,
        datasets: Vec<DatasetId>,
        reply: oneshot::Sender<Result<(), RequestError>>,
    },
    /// Removes these committed checkpoints, as far as nothing needs them.
    Collect {
        checkpoints: Vec<Indexed>,
        reply: oneshot::Sender<Vec<Indexed>>,
    },
    /// A copy of the state, after everything that came before is durable.
    Look(oneshot::Sender<Arc<View>>),
}

/// A plan and where it came from.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) plan: Plan,
    /// The share of the workers; as before where it is `None`.
    pub(crate) weight: Option<Weight>,
    pub(crate) recipe_file: String,
    pub(crate) recipe_text: String,
}

/// What is added to a campaign.
#[derive(Debug)]
pub(crate) struct Extension {
    pub(crate) growth: Growth,
    /// The file and the text of the recipe that asks for all of it; evaluations have none.
    pub(crate) recipe: Option<(String, String)>,
}

/// The result of an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extended {
    /// The whole campaign, what was added included.
    pub(crate) campaign: Submitted,
    pub(crate) trials_added: usize,
}

/// What a cancellation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub(crate) campaign: CampaignId,
    pub(crate) name: String,
    /// The phase before. Only an open campaign is cancelled.
    pub(crate) was: CampaignPhase,
    /// How many evaluations were cancelled, where its training had ended and nothing else was: it counts as ended again.
    pub(crate) evaluations: usize,
}

/// What a retry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retried {
    pub(crate) campaign: CampaignId,
    pub(crate) name: String,
    /// Stages and evaluations that are tried again, with their sizes.
    pub(crate) stages: Vec<(StageKey, String)>,
    /// How many stages diverged and stay as they are.
    pub(crate) diverged: usize,
}

/// The result of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) campaign: CampaignId,
    pub(crate) stages: usize,
    pub(crate) stages_done: usize,
}
