//! What people ask for, as events.

use recipes::CampaignId;
use scheduler::Event;
use tokio::sync::oneshot;
use tracing::info;

use super::Driver;
use super::batch::{Afterwards, Batch};
use super::input::{RequestError, Submission, Submitted};

pub(super) type Reply<T> = oneshot::Sender<Result<T, RequestError>>;

impl Driver {
    pub(super) fn on_submit(&mut self, submission: Submission, reply: Reply<Submitted>, batch: &mut Batch) {
        let Submission { plan, recipe_file, recipe_text } = submission;
        let campaign = plan.campaign;
        let applied = self.apply(Event::CampaignSubmitted { plan }, batch);
        if let Some(error) = applied.rejected {
            return answer(batch, reply, Err(RequestError::PlanRejected { campaign, error }));
        }
        if applied.accepted.is_some() {
            info!(%campaign, "accepted");
            self.notes.submitted_at_ms.entry(campaign).or_insert(batch.at_ms);
            batch.recipes.push((campaign, recipe_file, recipe_text));
        }
        let submitted = self.scheduler.campaign_status(&campaign).map(|status| {
            let stages = status.stages;
            let done = stages.completed + stages.diverged;
            Submitted {
                campaign,
                stages: stages.waiting + stages.running + done + stages.failed + stages.not_run,
                stages_done: done,
            }
        });
        let unknown = || RequestError::UnknownCampaign { selector: campaign.to_string() };
        answer(batch, reply, submitted.ok_or_else(unknown));
    }

    pub(super) fn on_cancel(&mut self, selector: &str, reply: Reply<CampaignId>, batch: &mut Batch) {
        let found = self.view().find(selector);
        if let Ok(campaign) = found {
            self.apply(Event::CampaignCancelled { campaign }, batch);
        }
        answer(batch, reply, found);
    }

    pub(super) fn on_retry(&mut self, selector: &str, reply: Reply<CampaignId>, batch: &mut Batch) {
        let found = self.view().find(selector);
        if let Ok(campaign) = found {
            self.apply(Event::RetryRequested { campaign }, batch);
        }
        answer(batch, reply, found);
    }
}

/// Answers once the batch is durable. Whoever asked may be gone by then.
pub(super) fn answer<T: Send + 'static>(batch: &mut Batch, reply: oneshot::Sender<T>, with: T) {
    batch.afterwards.push(Afterwards::Answer(Box::new(move || drop(reply.send(with)))));
}
