//! Durable decisions. Facts are appended to a log; a restart replays it to recover the state.

use std::fmt;

use serde::{Deserialize, Serialize};
use vocabulary::{Attempt, CampaignId, Growth, Measurements, Plan, Retries, StageKey, WorkerId};

use crate::weight::Weight;

/// One entry of the log.
///
/// The stored form is a JSON object with the variant's name under `fact`. Variants and fields are added, never renamed
/// or removed: old logs must stay readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A campaign is to be trained (again, where it was cancelled before).
    CampaignAccepted { plan: Plan },
    /// A campaign that is wanted gets more trials.
    CampaignGrown {
        /// What it did not have before.
        growth: Growth,
    },
    /// A campaign is no longer wanted.
    CampaignCancelled { campaign: CampaignId },
    /// A campaign whose training has ended no longer wants these evaluations. The rest of the campaign is unchanged.
    EvaluationsCancelled {
        campaign: CampaignId,
        /// Those that were not done.
        evaluations: Vec<StageKey>,
    },
    /// A campaign that had ended or was cancelled is forgotten, with the stages and evaluations that no other campaign has.
    /// Their earlier facts stay in the log.
    CampaignForgotten { campaign: CampaignId },
    /// A campaign's limits on retries changed.
    RetriesChanged {
        campaign: CampaignId,
        /// From now on.
        retries: Retries,
    },
    /// A campaign's share of the workers changed.
    WeightChanged {
        campaign: CampaignId,
        /// From now on.
        weight: Weight,
    },
    /// A stage was given to a worker.
    AttemptStarted {
        stage: StageKey,
        worker: WorkerId,
        attempt: Attempt,
        /// The worker's name, which its next process has too. Earlier versions did not record it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    },
    /// A checkpoint inside a stage, or its last, can be resumed from.
    CheckpointCommitted {
        stage: StageKey,
        /// Under which attempt it was written.
        attempt: Attempt,
        /// Steps done, counted from the root.
        step: u64,
    },
    /// A stage is done.
    StageCompleted {
        stage: StageKey,
        attempt: Attempt,
        /// What came out. Its stored form is a map from names to numbers.
        #[serde(deserialize_with = "crate::result::read")]
        result: Measurements,
    },
    /// A stage is done: it diverged.
    StageDiverged {
        stage: StageKey,
        attempt: Attempt,
        /// At which step, counted from the root.
        step: u64,
        /// The loss there, in nats per token; `None` if it was NaN or infinite.
        loss: Option<f64>,
    },
    /// An attempt is over, and the stage is not done.
    AttemptEnded {
        stage: StageKey,
        attempt: Attempt,
        why: AttemptEnd,
        /// Its worker fails whatever it is given, so that this end says nothing about the stage and counts as nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        excused: bool,
    },
    /// A stage is given up.
    StagePoisoned {
        stage: StageKey,
        /// The retry limit that it used up.
        limit: RetryCount,
    },
    /// A stage that was given up or diverged is tried again, with its counts back at zero.
    StageRetried { stage: StageKey },
    /// A committed checkpoint no longer exists. Nothing starts from it.
    CheckpointRemoved {
        stage: StageKey,
        /// Steps done, counted from the root.
        step: u64,
        /// The reason.
        why: RemovalReason,
    },
    /// A completed stage is trained again from the checkpoint before its last, which is lost and which other stages start
    /// from. Its result stays.
    StageReopened { stage: StageKey },
}

impl Fact {
    /// The stage it is about, where it is about one.
    #[must_use]
    pub fn stage(&self) -> Option<StageKey> {
        match self {
            Self::CampaignAccepted { .. }
            | Self::CampaignGrown { .. }
            | Self::CampaignCancelled { .. }
            | Self::EvaluationsCancelled { .. }
            | Self::CampaignForgotten { .. }
            | Self::RetriesChanged { .. }
            | Self::WeightChanged { .. } => None,
            Self::AttemptStarted { stage, .. }
            | Self::CheckpointCommitted { stage, .. }
            | Self::StageCompleted { stage, .. }
            | Self::StageDiverged { stage, .. }
            | Self::AttemptEnded { stage, .. }
            | Self::StagePoisoned { stage, .. }
            | Self::StageRetried { stage }
            | Self::CheckpointRemoved { stage, .. }
            | Self::StageReopened { stage } => Some(*stage),
        }
    }

    /// The campaign it is about, where it is about one.
    #[must_use]
    pub fn campaign(&self) -> Option<CampaignId> {
        match self {
            Self::CampaignAccepted { plan } => Some(plan.campaign),
            Self::CampaignGrown { growth } => Some(growth.campaign),
            Self::CampaignCancelled { campaign }
            | Self::EvaluationsCancelled { campaign, .. }
            | Self::CampaignForgotten { campaign }
            | Self::RetriesChanged { campaign, .. } => Some(*campaign),
            _ => None,
        }
    }

    /// The attempt it is about, where it is about one.
    #[must_use]
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::AttemptStarted { attempt, .. }
            | Self::CheckpointCommitted { attempt, .. }
            | Self::StageCompleted { attempt, .. }
            | Self::StageDiverged { attempt, .. }
            | Self::AttemptEnded { attempt, .. } => Some(*attempt),
            Self::CampaignAccepted { .. }
            | Self::CampaignGrown { .. }
            | Self::CampaignCancelled { .. }
            | Self::EvaluationsCancelled { .. }
            | Self::CampaignForgotten { .. }
            | Self::RetriesChanged { .. }
            | Self::WeightChanged { .. }
            | Self::StagePoisoned { .. }
            | Self::StageRetried { .. }
            | Self::CheckpointRemoved { .. }
            | Self::StageReopened { .. } => None,
        }
    }

    /// Its name in the log: the value under `fact`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CampaignAccepted { .. } => "campaign_accepted",
            Self::CampaignGrown { .. } => "campaign_grown",
            Self::CampaignCancelled { .. } => "campaign_cancelled",
            Self::EvaluationsCancelled { .. } => "evaluations_cancelled",
            Self::CampaignForgotten { .. } => "campaign_forgotten",
            Self::RetriesChanged { .. } => "retries_changed",
            Self::WeightChanged { .. } => "weight_changed",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::CheckpointCommitted { .. } => "checkpoint_committed",
            Self::StageCompleted { .. } => "stage_completed",
            Self::StageDiverged { .. } => "stage_diverged",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::StagePoisoned { .. } => "stage_poisoned",
            Self::StageRetried { .. } => "stage_retried",
            Self::CheckpointRemoved { .. } => "checkpoint_removed",
            Self::StageReopened { .. } => "stage_reopened",
        }
    }
}

/// Why a committed checkpoint no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// Its content differs from what was committed, or is gone.
    Damaged,
    /// Nothing needed it, and its space was wanted.
    Collected,
}

impl fmt::Display for RemovalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "damaged",
            Self::Collected => "collected",
        })
    }
}

/// Why an attempt ended without its stage being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AttemptEnd {
    /// The worker reported an error.
    Failed {
        /// The error, for people.
        reason: String,
        /// Whether training had begun.
        started: bool,
    },
    /// The worker reported something impossible: a checkpoint beyond the stage's end, or completion without the last one.
    ProtocolBroken {
        /// What, for people.
        reason: String,
    },
    /// The worker had to leave, and handed it back.
    Released,
    /// The worker was leaving in order when it was assigned, and never had it.
    Declined,
    /// The worker was silent for the length of a lease.
    LeaseExpired {
        /// Whether the worker had been heard to have it, or may have been before a restart.
        started: bool,
    },
    /// The worker's process is gone.
    WorkerLeft {
        /// Whether the worker had been heard to have it, or may have been before a restart.
        started: bool,
    },
    /// The worker had it, reconnected, and no longer had it.
    Lost,
    /// It was revoked, because nobody needed the stage any more.
    Revoked,
    /// The checkpoint it was to start from is damaged or gone.
    StartUnusable {
        /// The stage whose checkpoint that was.
        of: StageKey,
        step: u64,
    },
    /// The worker could not read or write the storage, or the coordinator did not find there what the worker wrote.
    StorageFailed {
        /// The error, for people.
        reason: String,
    },
}

impl AttemptEnd {
    /// The retry count that it adds to; `None` if it reflects on neither the stage nor its worker.
    #[must_use]
    pub fn counts_as(&self) -> Option<RetryCount> {
        match self {
            Self::Failed { started: true, .. } | Self::ProtocolBroken { .. } => Some(RetryCount::Failed),
            Self::Failed { started: false, .. }
            | Self::LeaseExpired { started: false }
            | Self::WorkerLeft { started: false } => Some(RetryCount::NotStarted),
            Self::Released | Self::LeaseExpired { started: true } | Self::WorkerLeft { started: true } | Self::Lost => {
                Some(RetryCount::Preempted)
            }
            Self::Declined | Self::Revoked | Self::StartUnusable { .. } | Self::StorageFailed { .. } => None,
        }
    }
}

impl fmt::Display for AttemptEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason, started: true } => write!(f, "failed: {reason}"),
            Self::Failed { reason, started: false } => write!(f, "could not start: {reason}"),
            Self::ProtocolBroken { reason } => write!(f, "worker broke the protocol: {reason}"),
            Self::Released => f.write_str("handed back by its worker"),
            Self::Declined => f.write_str("handed back by its worker, which was leaving"),
            Self::LeaseExpired { started: true } => f.write_str("worker fell silent"),
            Self::LeaseExpired { started: false } => f.write_str("worker never confirmed the assignment"),
            Self::WorkerLeft { started: true } => f.write_str("worker process ended"),
            Self::WorkerLeft { started: false } => f.write_str("worker process ended before it began"),
            Self::Lost => f.write_str("worker came back without it"),
            Self::Revoked => f.write_str("no longer needed"),
            Self::StartUnusable { of, step } => {
                write!(
                    f,
                    "the checkpoint of {} at step {step} that it was to start from is damaged or gone",
                    of.short()
                )
            }
            Self::StorageFailed { reason } => write!(f, "ended, because the storage failed: {reason}"),
        }
    }
}

/// The three separately limited counts of a stage's attempts. [`Retries`] has the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryCount {
    /// It never began to train.
    NotStarted,
    /// It lost its worker.
    Preempted,
    /// It ended in an error.
    Failed,
}

impl RetryCount {
    /// The highest count that is allowed.
    #[must_use]
    pub fn limit(self, retries: &Retries) -> u32 {
        match self {
            Self::NotStarted => retries.not_started,
            Self::Preempted => retries.preempted,
            Self::Failed => retries.failed,
        }
    }
}

impl fmt::Display for RetryCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "not started",
            Self::Preempted => "preempted",
            Self::Failed => "failed",
        })
    }
}
