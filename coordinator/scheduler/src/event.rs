//! What has happened: everything the scheduler is ever told. Reading [`Event`] is reading the protocol.

use vocabulary::{Abilities, AttemptKey, CampaignId, Growth, Measurements, Plan, StageKey, WorkerId};

use crate::weight::Weight;

/// Something that has happened. The handler of a variant is the function of its name, `on_worker_joined` for
/// [`Event::WorkerJoined`].
///
/// Events of one worker come in the order it sent them. Anything may come twice, late, or under an attempt that is long
/// over: such a message changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Someone submits a campaign. Submitting the same campaign again changes nothing, except that a cancelled one
    /// resumes, and that its retry limits become those of this plan. A campaign that has grown stays as large as it is.
    CampaignSubmitted {
        /// What to train.
        plan: Plan,
    },
    /// Someone wants more of a campaign that was accepted. What it has already is left out, so that the same request twice
    /// adds nothing the second time.
    GrowthRequested {
        /// What is wanted besides.
        growth: Growth,
    },
    /// Someone wants a campaign to have another share of the workers.
    WeightRequested { campaign: CampaignId, weight: Weight },
    /// Someone no longer wants a campaign.
    CampaignCancelled { campaign: CampaignId },
    /// Someone wants a campaign gone that has ended or was cancelled, with everything that only it has. Nothing happens while
    /// one of its stages still runs.
    ForgetRequested { campaign: CampaignId },
    /// Someone wants the stages of a campaign that were given up to be tried again.
    RetryRequested {
        campaign: CampaignId,
        /// Those that diverged, too.
        diverged: bool,
    },
    /// A worker said hello, at its start or on a new connection.
    WorkerJoined {
        worker: WorkerId,
        /// Its name, for people. The process that takes its place has it too.
        name: String,
        /// Memory of its device, in bytes, where it is known.
        memory_bytes: Option<u64>,
        /// What it can do.
        can: Abilities,
        /// Attempts it holds: in training, or over with an unacknowledged report. Having stopped one is such a report,
        /// too: an attempt missing here is one it never had, and may be assigned to it again.
        running: Vec<AttemptKey>,
        /// Stages whose last checkpoint it has at hand, so that it can begin their children without a download; the
        /// latest last.
        holds: Vec<StageKey>,
        /// Why it is to be given nothing until [`Event::WorkerFit`], where it is.
        unfit: Option<String>,
    },
    /// A worker that has joined is to be given nothing: it cannot write its storage, say. What it has, it keeps.
    WorkerUnfit {
        worker: WorkerId,
        /// Why, for people.
        reason: String,
    },
    /// A worker may be given something (again).
    WorkerFit { worker: WorkerId },
    /// A worker is alive.
    HeartbeatReceived {
        worker: WorkerId,
        /// Attempts it holds, as in [`Event::WorkerJoined`].
        running: Vec<AttemptKey>,
        /// What it has at hand now, where it says so.
        holds: Option<Vec<StageKey>>,
    },
    /// The connection of a worker broke. Its attempt lives as long as its lease; without one, it gets no work until it
    /// joins again.
    WorkerDisconnected { worker: WorkerId },
    /// A worker process is known to be gone: it said goodbye, or whoever started it saw it end.
    WorkerLeft {
        worker: WorkerId,
        /// Whether it left because it was told to or had nothing to do, and said so. What was on its way to it then is handed
        /// back.
        in_order: bool,
    },
    /// A complete and verified checkpoint is in the store of checkpoints.
    CheckpointCommitted {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        /// Steps done, counted from the root: training resumes with this step.
        step: u64,
    },
    /// A stage is trained to its last step, its final checkpoint committed.
    StageCompleted {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        /// What came out.
        result: Measurements,
    },
    /// The loss of a stage left all bounds: a result, not a failure.
    StageDiverged {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        step: u64,
        /// The loss there, in nats a token; not a number more often than not.
        loss: f64,
    },
    /// An attempt ended in an error.
    AttemptFailed {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        /// The error, for people.
        reason: String,
        /// Whether it had begun to train.
        started: bool,
    },
    /// A worker that has to go handed its attempt back, with what it could checkpoint.
    AttemptReleased {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
    },
    /// A worker could not begin an attempt, because a checkpoint it was to start from is damaged or gone. The caller has
    /// seen to that by itself, and has said so before with [`Event::CheckpointDamaged`].
    StartUnusable {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        /// The stage whose checkpoint it was.
        of: StageKey,
        step: u64,
    },
    /// A worker handed an attempt back because it cannot read or write the storage. It stays, and says that it had better
    /// not be given another one at once.
    StorageFailed {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        /// The error, for people.
        reason: String,
    },
    /// A checkpoint that a worker says it wrote is not there as it says, or could not be read for long. The caller looked for
    /// itself.
    CheckpointRefused {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
        /// What the caller found, for people and for the worker.
        reason: String,
        /// Whether no storage can be the cause: the worker reported something that cannot be.
        is_impossible: bool,
    },
    /// A committed checkpoint was read and is not what was committed, or it is gone.
    CheckpointDamaged {
        stage: StageKey,
        /// Steps done, counted from the root.
        step: u64,
    },
    /// Someone wants the room that these committed checkpoints take. Those that are needed stay.
    CollectionRequested {
        /// Which, by stage and step.
        checkpoints: Vec<(StageKey, u64)>,
    },
    /// A worker stopped an attempt because it was told to, by [`Effect::Revoke`](crate::Effect::Revoke) or
    /// [`Effect::Refuse`](crate::Effect::Refuse); or it was told and did not have it.
    RevocationConfirmed {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
    },
    /// The coordinator is about to stop. What workers hand back from now on is left to the next one.
    DrainRequested,
    /// Time went by: a deadline may have come. The caller hands over first whatever else it has received, so that a
    /// heartbeat that waited in a queue is not too late. Whatever the event, a call that comes far later than
    /// [`Scheduler::next_deadline`](crate::Scheduler::next_deadline) asked for says that the caller was away, and that
    /// time counts as nobody's silence.
    TimePassed,
}
