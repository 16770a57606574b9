//! Campaigns.

use std::sync::Arc;

use scheduler::{CampaignPhase, CampaignStatus, StageState};
use vocabulary::{AttemptKey, CampaignId, Plan, Stage, Tokens};

use super::{StageView, WorkerView};
use crate::api::requests::RecipeSource;
use crate::driver::view::View;

/// A campaign in a line.
#[derive(Debug, Clone)]
pub(crate) struct CampaignView {
    pub(crate) status: CampaignStatus,
    pub(crate) description: String,
    /// Milliseconds since 1970.
    pub(crate) submitted_at_ms: u64,
    pub(crate) tokens: Tokens,
    pub(crate) tokens_done: Tokens,
    pub(crate) has_evaluations: bool,
    /// How many committed checkpoints of its stages were found damaged or gone.
    pub(crate) damaged_checkpoints: usize,
}

/// A campaign with all its stages.
#[derive(Debug, Clone)]
pub(crate) struct CampaignDetail {
    pub(crate) summary: CampaignView,
    pub(crate) plan: Arc<Plan>,
    /// In the plan's order.
    pub(crate) stages: Vec<StageView>,
    /// In the plan's order.
    pub(crate) evaluations: Vec<StageView>,
    /// `None` where nobody wrote one, as for a branch.
    pub(crate) recipe: Option<RecipeSource>,
}

/// A campaign and the workers, as somebody who watches sees them.
#[derive(Debug, Clone)]
pub(crate) struct CampaignUpdate {
    pub(crate) campaign: CampaignView,
    pub(crate) workers: Vec<WorkerView>,
}

impl CampaignView {
    /// Every campaign, in the order of submission.
    pub(crate) fn all(view: &View<'_>) -> Vec<Self> {
        view.submitted().iter().filter_map(|campaign| Self::of(view, campaign)).collect()
    }

    pub(crate) fn of(view: &View<'_>, campaign: &CampaignId) -> Option<Self> {
        let plan = view.scheduler.plan(campaign)?;
        let ledger = view.scheduler.ledger();
        Some(Self {
            status: view.scheduler.campaign_status(campaign)?,
            description: plan.description.clone(),
            submitted_at_ms: view.submitted_at_ms(campaign),
            has_evaluations: !plan.evaluations.is_empty(),
            tokens: plan.stages.iter().map(|stage| stage.spec.tokens()).sum(),
            tokens_done: plan.stages.iter().map(|stage| tokens_done(view, stage)).sum(),
            damaged_checkpoints: plan.stages.iter().map(|stage| ledger.damaged_checkpoints(&stage.key).count()).sum(),
        })
    }
}

impl CampaignDetail {
    /// Without the recipe, which is in the store.
    pub(crate) fn of(view: &View<'_>, campaign: &CampaignId) -> Option<Self> {
        let summary = CampaignView::of(view, campaign)?;
        let plan = view.scheduler.shared_plan(campaign)?;
        let is_cancelled = summary.status.phase == CampaignPhase::Cancelled;
        let of = |key| StageView::of(view, key, is_cancelled);
        let stages = plan.stages.iter().filter_map(|stage| of(stage.key)).collect();
        let evaluations = plan.evaluations.iter().filter_map(|evaluation| of(evaluation.key)).collect();
        Some(Self { summary, plan, stages, evaluations, recipe: None })
    }
}

impl CampaignUpdate {
    pub(crate) fn of(view: &View<'_>, campaign: &CampaignId) -> Option<Self> {
        Some(Self { campaign: CampaignView::of(view, campaign)?, workers: WorkerView::all(view) })
    }
}

/// Trained tokens of a stage: by its checkpoint, or by its worker's progress, which may be further.
fn tokens_done(view: &View<'_>, stage: &Stage) -> Tokens {
    let ledger = view.scheduler.ledger();
    let checkpoint = || ledger.checkpoints(&stage.key).last().unwrap_or(0);
    let trained_to = match ledger.stage_state(&stage.key) {
        None => return Tokens(0),
        Some(StageState::Completed { .. }) => stage.spec.steps.end,
        Some(StageState::Diverged { step, .. }) => *step,
        Some(StageState::Running { worker, attempt }) => {
            let progress = view.progress(worker, AttemptKey { stage: stage.key, attempt: *attempt });
            let latest = progress.and_then(|progress| progress.latest.as_ref()).map_or(0, |point| point.step + 1);
            checkpoint().max(latest)
        }
        Some(_) => checkpoint(),
    };
    let steps = trained_to.min(stage.spec.steps.end).saturating_sub(stage.spec.steps.start);
    Tokens(steps * stage.spec.batch.tokens())
}
