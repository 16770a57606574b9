//! Campaigns.

use std::sync::Arc;

use recipes::price::Left;
use scheduler::{Campaign, CampaignStatus, StageState};
use vocabulary::{CampaignId, Plan, Stage, Tokens};

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
    /// How long it still takes, if it is open and there is an estimate. Filled in later, because the view does not hold it.
    pub(crate) left: Option<Left>,
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

/// A campaign that somebody watches: what is recorded of it is counted only when it has changed.
#[derive(Debug)]
pub(crate) struct Watched {
    campaign: CampaignId,
    /// The campaign without the progress of its workers, and the version of the campaign at that time.
    recorded: Option<(u64, CampaignView)>,
    /// How often the stages were counted.
    counted: usize,
}

impl CampaignView {
    /// Every campaign, in the order of submission.
    pub(crate) fn all(view: &View) -> Vec<Self> {
        view.submitted().iter().filter_map(|campaign| Self::of(view, campaign)).collect()
    }

    pub(crate) fn of(view: &View, campaign: &CampaignId) -> Option<Self> {
        Some(Self::recorded(view, campaign)?.with_progress(view))
    }

    /// What is recorded of it. Looks at all of its stages.
    fn recorded(view: &View, campaign: &CampaignId) -> Option<Self> {
        let plan = view.scheduler.plan(campaign)?;
        let ledger = view.scheduler.ledger();
        Some(Self {
            status: view.scheduler.campaign_status(campaign)?,
            description: plan.description.clone(),
            submitted_at_ms: view.submitted_at_ms(campaign),
            has_evaluations: !plan.evaluations.is_empty(),
            tokens: plan.stages.iter().map(|stage| stage.spec.tokens()).sum(),
            left: None,
            tokens_done: plan.stages.iter().map(|stage| recorded_tokens(view, stage)).sum(),
            damaged_checkpoints: plan.stages.iter().map(|stage| ledger.damaged_checkpoints(&stage.key).count()).sum(),
        })
    }

    /// The same with what its workers have done since. Looks at all workers.
    fn with_progress(mut self, view: &View) -> Self {
        for (worker, key) in view.scheduler.running() {
            let is_wanted = |campaign: &Campaign| campaign.plan().campaign == self.status.campaign;
            if view.scheduler.ledger().wanted_by(&key.stage).any(is_wanted)
                && let Some(stage) = view.scheduler.stage(&key.stage)
                && let Some(latest) = view.progress(&worker, key).and_then(|progress| progress.latest.as_ref())
            {
                let trained = tokens_until(stage, latest.step.saturating_add(1));
                self.tokens_done.0 += trained.0.saturating_sub(recorded_tokens(view, stage).0);
            }
        }
        self
    }
}

impl CampaignDetail {
    /// Without the recipe, which is in the store.
    pub(crate) fn of(view: &View, campaign: &CampaignId) -> Option<Self> {
        let summary = CampaignView::of(view, campaign)?;
        let plan = view.scheduler.shared_plan(campaign)?;
        let known = view.scheduler.ledger().campaign(campaign)?;
        let waits = view.scheduler.waits();
        let of = |key| StageView::of(view, &waits, key, !known.wants(&key));
        let stages = plan.stages.iter().filter_map(|stage| of(stage.key)).collect();
        let evaluations = plan.evaluations.iter().filter_map(|evaluation| of(evaluation.key)).collect();
        Some(Self { summary, plan, stages, evaluations, recipe: None })
    }
}

impl Watched {
    pub(crate) fn new(campaign: CampaignId) -> Self {
        Self { campaign, recorded: None, counted: 0 }
    }

    /// The campaign and the workers now; `None` where the campaign is not known.
    pub(crate) fn update(&mut self, view: &View) -> Option<CampaignUpdate> {
        let version = view.scheduler.version(&self.campaign);
        let recorded = match self.recorded.take().filter(|(of, _)| *of == version) {
            Some((_, recorded)) => recorded,
            None => {
                self.counted += 1;
                CampaignView::recorded(view, &self.campaign)?
            }
        };
        self.recorded = Some((version, recorded.clone()));
        Some(CampaignUpdate { campaign: recorded.with_progress(view), workers: WorkerView::all(view) })
    }
}

/// Tokens of a stage that are trained for sure: up to its checkpoint.
fn recorded_tokens(view: &View, stage: &Stage) -> Tokens {
    let ledger = view.scheduler.ledger();
    let checkpoint = || ledger.checkpoints(&stage.key).last().unwrap_or(0);
    match ledger.stage_state(&stage.key) {
        None => Tokens(0),
        Some(StageState::Completed { .. }) => tokens_until(stage, stage.spec.steps.end),
        // The step that diverged was trained as well.
        Some(StageState::Diverged { step, .. }) => tokens_until(stage, step.saturating_add(1)),
        Some(_) => tokens_until(stage, checkpoint()),
    }
}

/// Tokens of a stage up to a step, which is counted from the root.
fn tokens_until(stage: &Stage, step: u64) -> Tokens {
    let steps = step.min(stage.spec.steps.end).saturating_sub(stage.spec.steps.start);
    Tokens(steps * stage.spec.batch.tokens())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use scheduler::{Event, Scheduler, Settings, Timestamp};
    use vocabulary::{Abilities, WorkKind, WorkerId, sample};

    use super::*;
    use crate::driver::from_worker::Progress;
    use crate::store::CurvePoint;

    fn plan() -> Plan {
        let recipe = recipes::Recipe::parse("smoke.toml", include_str!("../../../../recipes/smoke.toml"));
        recipes::expand(&recipe.expect("it is sound"), &sample::smoke_dataset()).expect("it can be expanded")
    }

    fn point(step: u64) -> CurvePoint {
        CurvePoint { step, loss: 1.0, grad_norm: 1.0, learning_rate: 1.0, measurements: Default::default() }
    }

    #[test]
    fn whoever_watches_has_the_stages_counted_only_when_something_is_recorded() {
        let (mut scheduler, plan) = (Scheduler::new(Settings::default()), plan());
        let (campaign, worker) = (plan.campaign, WorkerId::from_content(b"a worker"));
        let _ = scheduler.handle(Timestamp(0), Event::CampaignSubmitted { plan });
        let view = |scheduler: &Scheduler| View::of(scheduler.clone(), BTreeMap::new());
        let mut watched = Watched::new(campaign);
        for _ in 0..3 {
            let update = watched.update(&view(&scheduler)).expect("it is known");
            assert_eq!((update.campaign.tokens_done, watched.counted), (Tokens(0), 1));
        }
        let joined = Event::WorkerJoined {
            worker,
            name: String::new(),
            memory_bytes: None,
            can: Abilities::of([WorkKind::Train]),
            running: Vec::new(),
            holds: Vec::new(),
            unfit: None,
        };
        let _ = scheduler.handle(Timestamp(1), joined);
        let (_, key) = scheduler.running().next().expect("it was given something");
        let stage = scheduler.stage(&key.stage).expect("it is known").clone();
        for step in 0..3 {
            let progress = Progress { key, latest: Some(point(step)), tokens_per_second: 0.0, quiet: None };
            let view = View::of(scheduler.clone(), BTreeMap::from([(worker, progress)]));
            let update = watched.update(&view).expect("it is known");
            assert_eq!(update.campaign.tokens_done, Tokens((step + 1) * stage.spec.batch.tokens()));
            assert_eq!(watched.counted, 2, "only the assignment was recorded");
        }
        // Overflow is refused, not computed.
        let progress = Progress { key, latest: Some(point(u64::MAX)), tokens_per_second: 0.0, quiet: None };
        let view = View::of(scheduler.clone(), BTreeMap::from([(worker, progress)]));
        assert_eq!(watched.update(&view).expect("it is known").campaign.tokens_done, stage.spec.tokens());
    }
}
