//! What the caller is to do about it.

use vocabulary::{AttemptKey, CampaignId, StageKey, WorkerId};

use crate::fact::{Fact, StageResult};
use crate::plan_check::PlanError;

/// An order to the caller, who commits every [`Effect::Record`] in one transaction before performing any other.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append this to the log. It comes before whatever depends on it.
    Record(Fact),
    /// Tell a worker to train a stage.
    ///
    /// It is repeated under the same attempt to a worker that joins again without knowing of it; one that has the
    /// attempt in hand takes no notice.
    Assign {
        /// Who.
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
    /// Tell a worker to stop an attempt that nobody needs any more, or that lost its lease. It answers with
    /// [`Event::RevocationConfirmed`](crate::Event::RevocationConfirmed), which is when its slot is free.
    Revoke {
        /// Who.
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
    },
    /// Tell a worker that an attempt it speaks of is not its own (any more): drop it, with all reports still to be sent.
    /// It answers as to [`Effect::Revoke`], whether it had the attempt or not.
    Refuse {
        /// Who.
        worker: WorkerId,
        /// Which attempt at which stage.
        key: AttemptKey,
    },
    /// Close the connection of a worker that has not joined, or that was silent for so long that it was forgotten: it
    /// will dial again and say hello.
    CloseSession {
        /// Who.
        worker: WorkerId,
    },
    /// Tell whoever waits for it that a campaign has nothing left to train, or was cancelled.
    /// [`Scheduler::campaign_status`](crate::Scheduler::campaign_status) says how it ended. Said again when a campaign
    /// that has ended is submitted again.
    CampaignEnded {
        /// Which.
        campaign: CampaignId,
    },
    /// Tell people that a stage was trained again and did not come out the same. Its first result is kept.
    ResultDiffers {
        /// Which, and the attempt that trained it again.
        key: AttemptKey,
        /// What is kept.
        first: StageResult,
        /// What came out now; `None` where it diverged.
        again: Option<StageResult>,
    },
    /// Tell whoever submitted it that a plan, or what was to be added to one, is not one: nothing of it was accepted.
    RejectPlan {
        /// The campaign it claims to be, or to be for.
        campaign: CampaignId,
        /// What is wrong with it.
        error: PlanError,
    },
}
