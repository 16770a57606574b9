//! Requests of people, as events.

use std::sync::Arc;

use scheduler::{CampaignStatus, Event};
use tokio::sync::oneshot;
use tracing::info;
use vocabulary::{CampaignId, DatasetId, Plan, StageKey};

use super::Driver;
use super::batch::{Afterwards, Batch};
use super::input::{Cancelled, Extended, Extension, Retried, Submission, Submitted};
use super::request_error::RequestError;
use super::view::find;

pub(super) type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

impl Driver {
    pub(super) fn on_submit(&mut self, submission: Submission, reply: Reply<Submitted>, batch: &mut Batch) {
        let Submission { plan, weight, recipe_file, recipe_text } = submission;
        let (campaign, trials) = (plan.campaign, plan.trials_in_the_end());
        let before = self.trials(&campaign);
        let applied = self.apply(Event::CampaignSubmitted { plan }, batch);
        if let Some(error) = applied.rejected {
            return answer(batch, reply, Err(RequestError::PlanRejected { campaign, error }));
        }
        if let Some(weight) = weight {
            self.apply(Event::WeightRequested { campaign, weight }, batch);
        }
        if applied.accepted.is_some() {
            info!(%campaign, "accepted");
            Arc::make_mut(&mut self.notes).submitted_at_ms.entry(campaign).or_insert(batch.at_ms);
        }
        // A campaign that had grown before it was cancelled comes back grown and keeps its larger recipe. A search that is
        // submitted with more trials has grown.
        let after = self.trials(&campaign);
        if after == trials && (applied.accepted.is_some() || after > before) {
            batch.recipes.push((campaign, recipe_file, recipe_text));
        }
        answer(batch, reply, self.submitted(campaign));
    }

    pub(super) fn on_extend(&mut self, extension: Extension, reply: Reply<Extended>, batch: &mut Batch) {
        let Extension { growth, recipe } = extension;
        let campaign = growth.campaign;
        let before = self.trials(&campaign);
        let applied = self.apply(Event::GrowthRequested { growth }, batch);
        if let Some(error) = applied.rejected {
            return answer(batch, reply, Err(RequestError::PlanRejected { campaign, error }));
        }
        let trials_added = self.trials(&campaign).saturating_sub(before);
        if trials_added > 0 {
            info!(%campaign, trials_added, "grown");
            batch.recipes.extend(recipe.map(|(file, text)| (campaign, file, text)));
        }
        let extended = self.submitted(campaign).map(|campaign| Extended { campaign, trials_added });
        answer(batch, reply, extended);
    }

    /// How many trials a campaign will have had in the end, as far as is known now.
    fn trials(&self, campaign: &CampaignId) -> usize {
        self.scheduler.plan(campaign).map_or(0, Plan::trials_in_the_end)
    }

    fn submitted(&self, campaign: CampaignId) -> Result<Submitted, RequestError> {
        let status = self.scheduler.campaign_status(&campaign);
        let status =
            status.ok_or_else(|| RequestError::UnknownCampaign { selector: campaign.to_string(), similar: None })?;
        let stages = status.stages;
        let over = stages.completed + stages.diverged + stages.failed + stages.not_run;
        Ok(Submitted { campaign, stages: stages.waiting + stages.running + over, stages_done: stages.completed })
    }

    pub(super) fn on_cancel(&mut self, selector: &str, reply: Reply<Cancelled>, batch: &mut Batch) {
        let cancelled = find(&self.scheduler, &self.notes, selector).and_then(|campaign| {
            let unknown = || RequestError::UnknownCampaign { selector: selector.to_owned(), similar: None };
            let CampaignStatus { name, phase: was, .. } =
                self.scheduler.campaign_status(&campaign).ok_or_else(unknown)?;
            let evaluations = self.apply(Event::CampaignCancelled { campaign }, batch).evaluations_cancelled;
            Ok(Cancelled { campaign, name, was, evaluations })
        });
        answer(batch, reply, cancelled);
    }

    pub(super) fn on_forget(
        &mut self,
        campaign: CampaignId,
        datasets: Vec<DatasetId>,
        reply: Reply<()>,
        batch: &mut Batch,
    ) {
        let forgettable = self.scheduler.forgettable(&campaign).map(|_| ());
        let forgotten = forgettable.map_err(|error| RequestError::Forget { campaign, error });
        if forgotten.is_ok() {
            let mut stages = self.scheduler.ledger().only_of(&campaign);
            stages.retain(|key| self.scheduler.stage(key).is_some());
            self.apply(Event::ForgetRequested { campaign }, batch);
            let unused: Vec<_> = match datasets.is_empty() {
                true => Vec::new(),
                false => {
                    let ledger = self.scheduler.ledger();
                    let mut used = ledger.datasets(|_| true);
                    used.extend(ledger.campaigns().filter_map(|known| Some(known.plan().dataset.as_ref()?.id)));
                    datasets.into_iter().filter(|dataset| !used.contains(dataset)).collect()
                }
            };
            self.delete_later(&stages, &unused, batch);
            batch.recipes.retain(|(of, ..)| *of != campaign);
            Arc::make_mut(&mut self.notes).submitted_at_ms.remove(&campaign);
            self.over_quota.remove(&campaign);
            info!(%campaign, "forgotten");
        }
        answer(batch, reply, forgotten);
    }

    pub(super) fn on_retry(&mut self, selector: &str, diverged: bool, reply: Reply<Retried>, batch: &mut Batch) {
        let retried = find(&self.scheduler, &self.notes, selector).and_then(|campaign| {
            let name = match self.scheduler.ledger().wanted(&campaign) {
                Ok(known) => known.plan().name.clone(),
                Err(_) => return Err(RequestError::NothingToRetry { campaign }),
            };
            let applied = self.apply(Event::RetryRequested { campaign, diverged }, batch);
            let size = |key: &StageKey| self.scheduler.work(key).map(|work| work.size().to_owned()).unwrap_or_default();
            let stages = applied.retried.into_iter().map(|key| (key, size(&key))).collect();
            let status = self.scheduler.campaign_status(&campaign);
            let diverged = status.map_or(0, |status| status.stages.diverged + status.evaluations.diverged);
            Ok(Retried { campaign, name, stages, diverged })
        });
        answer(batch, reply, retried);
    }
}

/// Answers once the batch is durable. The caller may be gone by then.
pub(super) fn answer<T: Send + 'static>(batch: &mut Batch, reply: oneshot::Sender<T>, with: T) {
    batch.afterwards.push(Afterwards::Answer(Box::new(move || drop(reply.send(with)))));
}
