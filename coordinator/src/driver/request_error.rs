//! Why a request is not met.

use recipes::EvaluateError;
use scheduler::{BranchRefusal, ForgetError, PlanError};
use vocabulary::{CampaignId, StageKey};

use crate::tasks::Panicked;

/// A refusal, in words for whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(
        "no campaign `{selector}`{} (`windtunnel list` has all)",
        .similar.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
    )]
    UnknownCampaign { selector: String, similar: Option<String> },
    #[error("several campaigns begin with `{selector}`: {}", .candidates.join(", "))]
    AmbiguousCampaign { selector: String, candidates: Vec<String> },
    #[error("{} campaigns are named `{name}`: give one of {}", .candidates.len(), .candidates.join(", "))]
    SeveralCampaigns { name: String, candidates: Vec<String> },
    #[error("no stage of the campaign has a key that begins with `{selector}`")]
    UnknownStage { selector: String },
    #[error("`{selector}` fits {count} stages of the campaign; give more of the key (`windtunnel show CAMPAIGN`)")]
    AmbiguousStage { selector: String, count: usize },
    #[error("no stage of any campaign has a key that begins with `{selector}`")]
    NoStage { selector: String },
    #[error("`{selector}` fits {count} stages; give more of the key (`windtunnel show CAMPAIGN`)")]
    SeveralStages { selector: String, count: usize },
    #[error("{} has no committed checkpoint{}", .stage.short(), .step.map(|step| format!(" after step {step}")).unwrap_or_default())]
    NoCheckpoint { stage: StageKey, step: Option<u64> },
    #[error(transparent)]
    Branch(BranchRefusal),
    #[error(transparent)]
    Evaluate(EvaluateError),
    #[error("{campaign} cannot be forgotten: {error}")]
    Forget { campaign: CampaignId, error: ForgetError },
    #[error("the plan of {campaign} cannot be run: {error}")]
    PlanRejected { campaign: CampaignId, error: PlanError },
    #[error("{campaign} was cancelled, so nothing of it is retried: submit its recipe again to continue it")]
    NothingToRetry { campaign: CampaignId },
    #[error(
        "the coordinator has been waiting for its store for {seconds} s ({why}); it continues once that passes, and nothing \
         is lost: try again later"
    )]
    Stalled { seconds: u64, why: String },
    /// On behalf of a reader. The coordinator continues.
    #[error(transparent)]
    Panicked(Panicked),
    #[error("the coordinator is shutting down")]
    Stopping,
}
