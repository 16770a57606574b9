//! What people ask for.

use vocabulary::{AttemptKey, CampaignId, Growth, Plan, StageKey};

use crate::effect::Effect;
use crate::fact::{AttemptEnd, Fact};
use crate::plan_check;
use crate::scheduler::Scheduler;
use crate::state::campaign::Campaign;
use crate::state::stage::StageState;
use crate::state::worker::Slot;
use crate::time::Timestamp;
use crate::timers::Timer;
use crate::weight::Weight;

impl Scheduler {
    pub(super) fn on_campaign_submitted(&mut self, plan: Plan, effects: &mut Vec<Effect>) {
        let campaign = plan.campaign;
        let is_as_patient = |known: &Campaign| known.is_cancelled() || known.plan().retries == plan.retries;
        if self.ledger.campaign(&campaign).is_some_and(|known| !is_as_patient(known)) {
            self.record(Fact::RetriesChanged { campaign, retries: plan.retries }, effects);
        }
        let known = self.ledger.campaign(&campaign).filter(|known| !known.is_cancelled());
        if let Some(trials) = known.and_then(|known| more_trials(known.plan(), &plan)) {
            return self.on_growth_requested(Growth::of_search(campaign, trials), effects);
        }
        match self.ledger.campaign(&campaign) {
            Some(known) if known.has_ended() => effects.push(Effect::CampaignEnded { campaign }),
            Some(known) if !known.is_cancelled() => {}
            _ => match plan_check::check(&plan) {
                Ok(()) => self.record(Fact::CampaignAccepted { plan: self.as_grown(plan) }, effects),
                Err(error) => effects.push(Effect::RejectPlan { campaign, error }),
            },
        }
    }

    /// The plan of a campaign that was cancelled and is submitted again, with what it had grown by.
    fn as_grown(&self, plan: Plan) -> Plan {
        match self.ledger.campaign(&plan.campaign).map(Campaign::plan) {
            Some(known)
                if known.trials.len() > plan.trials.len()
                    || known.search.is_some()
                    || !known.evaluations.is_empty() =>
            {
                let search = if more_trials(known, &plan).is_some() { plan.search } else { known.search.clone() };
                let (trials, stages, evaluations) =
                    (known.trials.clone(), known.stages.clone(), known.evaluations.clone());
                Plan { trials, stages, evaluations, search, ..plan }
            }
            _ => plan,
        }
    }

    pub(super) fn on_growth_requested(&mut self, growth: Growth, effects: &mut Vec<Effect>) {
        let campaign = growth.campaign;
        let decided = self.ledger.wanted(&campaign).and_then(|known| {
            let growth = known.beyond(growth);
            plan_check::check_growth(known.plan(), &known.unplanned(&growth)).map(|()| (growth, known.has_ended()))
        });
        match decided {
            Err(error) => effects.push(Effect::RejectPlan { campaign, error }),
            Ok((growth, has_ended)) if growth.is_empty() => {
                effects.extend(has_ended.then_some(Effect::CampaignEnded { campaign }));
            }
            Ok((growth, _)) => self.record(Fact::CampaignGrown { growth }, effects),
        }
    }

    pub(super) fn on_weight_requested(&mut self, campaign: CampaignId, weight: Weight, effects: &mut Vec<Effect>) {
        if self.ledger.campaign(&campaign).is_some_and(|known| known.weight != weight) {
            self.record(Fact::WeightChanged { campaign, weight }, effects);
        }
    }

    /// Takes away what only this campaign needs: its evaluations, if its training has ended, and otherwise everything. Workers
    /// keep their slot until they confirm, and a stage that is done before the order reaches its worker is done.
    pub(super) fn on_campaign_cancelled(&mut self, campaign: CampaignId, effects: &mut Vec<Effect>) {
        let Some(known) = self.ledger.campaign(&campaign).filter(|known| !known.is_cancelled()) else { return };
        if known.has_ended() {
            return;
        }
        if let Some(evaluations) = self.ledger.open_evaluations(&campaign) {
            self.record(Fact::EvaluationsCancelled { campaign, evaluations: evaluations.clone() }, effects);
            evaluations.into_iter().for_each(|evaluation| self.revoke_if_unwanted(evaluation, effects));
            return;
        }
        let stages: Vec<StageKey> = known.plan().keys().collect();
        self.record(Fact::CampaignCancelled { campaign }, effects);
        for stage in stages {
            self.revoke_if_unwanted(stage, effects);
        }
        effects.push(Effect::CampaignEnded { campaign });
    }

    fn revoke_if_unwanted(&mut self, stage: StageKey, effects: &mut Vec<Effect>) {
        let Some(record) = self.ledger.record(&stage).filter(|record| record.wanted_by.is_empty()) else { return };
        let StageState::Running { worker, attempt } = record.state else { return };
        let key = AttemptKey { stage, attempt };
        let slot = Slot::Dropping(key);
        // A worker that has not joined since a restart is told when it does.
        if self.workers.get(&worker).is_some_and(|known| known.slot != slot) {
            self.workers.set_slot(worker, slot);
            effects.push(Effect::Revoke { worker, key });
        }
    }

    pub(super) fn on_forget_requested(&mut self, now: Timestamp, campaign: CampaignId, effects: &mut Vec<Effect>) {
        if self.forgettable(&campaign).is_err() {
            return;
        }
        let stages = self.ledger.only_of(&campaign);
        for stage in &stages {
            if let Some(StageState::Running { .. }) = self.ledger.stage_state(stage) {
                self.end_attempt(now, *stage, AttemptEnd::Revoked, effects);
            }
        }
        for stage in &stages {
            self.timers.cancel(Timer::BackoffOver(*stage));
        }
        self.record(Fact::CampaignForgotten { campaign }, effects);
        self.versions.remove(&campaign);
        self.ready.forget(&campaign);
        effects.push(Effect::Forget { stages });
    }

    /// A divergence that is tried again stays in the log, with its attempt.
    pub(super) fn on_retry_requested(&mut self, campaign: CampaignId, diverged: bool, effects: &mut Vec<Effect>) {
        let Ok(known) = self.ledger.wanted(&campaign) else { return };
        let to_retry = |stage: &StageKey| match self.ledger.stage_state(stage) {
            Some(StageState::Failed { .. }) => true,
            Some(StageState::Diverged { .. }) => diverged,
            _ => false,
        };
        let stages: Vec<StageKey> = known.plan().keys().filter(to_retry).collect();
        for stage in stages {
            self.record(Fact::StageRetried { stage }, effects);
        }
    }
}

/// How many trials the search of a plan has, where that of a known one has fewer.
fn more_trials(known: &Plan, plan: &Plan) -> Option<u32> {
    let (known, wanted) = (known.search.as_ref()?, plan.search.as_ref()?);
    (known.trials < wanted.trials).then_some(wanted.trials)
}
