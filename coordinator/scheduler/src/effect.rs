//! What the caller has to do in response.

use vocabulary::{AttemptKey, CampaignId, Measurements, StageKey, WorkerId};

use crate::fact::Fact;
use crate::plan_check::PlanError;

/// An order to the caller, who commits every [`Effect::Record`] in one transaction before performing any other.
#[expect(clippy::large_enum_variant, reason = "they live for a turn of the driver")]
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append this to the log. It comes before whatever depends on it.
    Record(Fact),
    /// Tell a worker to train a stage.
    ///
    /// Repeated under the same attempt to a worker that joins again without it; one that holds the attempt ignores it.
    Assign {
        worker: WorkerId,
        /// The stage, and the attempt under which everything about it is to be reported.
        /// [`Scheduler::stage`](crate::Scheduler::stage) has the stage's spec.
        key: AttemptKey,
        /// The stage's own latest committed checkpoint, by its step; `None` where there is none, and it starts from
        /// its parent's last.
        resume_from: Option<u64>,
        /// The stage whose last checkpoint it starts from; `None` where it starts from initial weights.
        parent: Option<StageKey>,
    },
    /// Tell a worker to stop an attempt that nobody needs any more, or that lost its lease. Its slot is free once it answers
    /// with [`Event::RevocationConfirmed`](crate::Event::RevocationConfirmed).
    Revoke {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
    },
    /// Tell a worker that an attempt it reports is not (or no longer) its own: it drops the attempt and all its unsent
    /// reports. It answers as to [`Effect::Revoke`], whether it had the attempt or not.
    Refuse {
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
    },
    /// Close the connection of a worker that has not joined, or was silent for so long that it was forgotten. It will dial
    /// again and say hello.
    CloseSession { worker: WorkerId },
    /// Drop what is kept of a worker that was silent for so long that it was forgotten, and its connection with it.
    ForgetWorker { worker: WorkerId },
    /// Tell whoever waits that a campaign has nothing left to train, or was cancelled.
    /// [`Scheduler::campaign_status`](crate::Scheduler::campaign_status) says how it ended. Repeated when an ended campaign
    /// is submitted again.
    CampaignEnded { campaign: CampaignId },
    /// Delete what is kept of these stages besides the log: nobody has them any more.
    Forget { stages: Vec<StageKey> },
    /// Tell people that a stage was trained again with a different result. The first result is kept.
    ResultDiffers {
        /// Which, and the attempt that trained it again.
        key: AttemptKey,
        /// The result that is kept.
        first: Measurements,
        /// The new result; `None` if it diverged.
        again: Option<Measurements>,
    },
    /// Tell the submitter that a plan, or an addition to one, is invalid. Nothing of it was accepted.
    RejectPlan {
        /// The campaign that the plan or addition names.
        campaign: CampaignId,
        /// The reason.
        error: PlanError,
    },
}
