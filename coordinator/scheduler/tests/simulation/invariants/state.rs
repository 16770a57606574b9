//! What is true of the state.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::{CampaignPhase, Effect, Event, Fact, Slot, StageState};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Trial, WorkerId};

use super::{Moment, ensure, recorded, stages};

pub(super) fn invariant_stage_has_at_most_one_live_lease(moment: &Moment<'_>) -> Result<(), String> {
    let mut holders: BTreeSet<WorkerId> = BTreeSet::new();
    for (key, state) in stages(moment.after) {
        let lease = moment.after.stage_status(&key).and_then(|status| status.lease_until);
        let running = match state {
            StageState::Running { worker, attempt } => Some((*worker, *attempt)),
            _ => None,
        };
        ensure(lease.is_some() == running.is_some(), || format!("{} is {state:?} with {lease:?}", key.short()))?;
        if let Some((worker, _)) = running {
            ensure(holders.insert(worker), || format!("{worker} has two stages"))?;
        }
        for known in moment.after.workers() {
            if let Slot::Busy(busy) = known.slot
                && busy.stage == key
            {
                ensure(running == Some((known.worker, busy.attempt)), || {
                    format!("{} has {busy}, which is {state:?}", known.name)
                })?;
            }
        }
    }
    Ok(())
}

pub(super) fn invariant_no_worker_idles_beside_a_ready_stage(moment: &Moment<'_>) -> Result<(), String> {
    let idle = moment.after.workers().find(scheduler::WorkerStatus::is_idle);
    let ready = moment.after.ready();
    match (idle, ready.first()) {
        (Some(idle), Some(stage)) => Err(format!("{} beside {}", idle.name, stage.short())),
        _ => Ok(()),
    }
}

pub(super) fn invariant_what_is_settled_stays_settled(moment: &Moment<'_>) -> Result<(), String> {
    for (key, before) in stages(moment.before) {
        let [was, is] = [moment.before, moment.after].map(|scheduler| scheduler.stage_status(&key));
        let (Some(was), Some(is)) = (was, is) else { return Err(format!("{} is forgotten", key.short())) };
        let settled = matches!(before, StageState::Completed { .. } | StageState::Diverged { .. });
        let reopened = recorded(moment).any(|fact| *fact == Fact::StageReopened { stage: key });
        let lost = recorded(moment).any(|fact| matches!(fact, Fact::CheckpointRemoved { stage, .. } if *stage == key));
        let retried = recorded(moment).any(|fact| *fact == Fact::StageRetried { stage: key });
        ensure(!settled || reopened || retried || was.state == is.state, || {
            format!("{} went from {before:?} to {:?}", key.short(), is.state)
        })?;
        ensure(lost || was.checkpoint <= is.checkpoint, || format!("{} lost a checkpoint", key.short()))?;
        ensure(was.attempts <= is.attempts, || format!("{} gives an attempt out twice", key.short()))?;
    }
    Ok(())
}

pub(super) fn invariant_what_cannot_start_lies_below_a_dead_end(moment: &Moment<'_>) -> Result<(), String> {
    let ledger = moment.after.ledger();
    for (work, state) in ledger.nodes() {
        let (key, parent) = (work.key(), work.parent());
        let parent = parent.and_then(|parent| ledger.stage_state(&parent));
        let below_dead_end = match parent {
            Some(StageState::Failed { .. } | StageState::Diverged { .. } | StageState::NotRun { .. }) => true,
            Some(StageState::Waiting | StageState::Running { .. } | StageState::Completed { .. }) | None => false,
        };
        let is_not_run = matches!(state, StageState::NotRun { .. });
        // Below a stage that was retrained without success, stages with another start continue.
        let is_stuck = *state == StageState::Waiting && ledger.checkpoints(&key).next().is_none();
        let holds = if below_dead_end { !is_stuck } else { !is_not_run };
        ensure(holds, || format!("{} is {state:?} below {parent:?}", key.short()))?;
    }
    Ok(())
}

pub(super) fn invariant_result_is_of_the_attempt_that_settled_first(moment: &Moment<'_>) -> Result<(), String> {
    let mut first = BTreeMap::new();
    for fact in moment.facts {
        if let Fact::StageCompleted { stage, attempt, .. } = fact {
            first.entry(*stage).or_insert(*attempt);
        }
    }
    for (key, state) in stages(moment.after) {
        if let StageState::Completed { attempt, result } = state {
            // One that was trained again keeps what came out at first.
            let expected = first.get(&key).map(|first| f64::from(first.0));
            ensure(result.get(VALIDATION_LOSS) == expected, || format!("{}{attempt} has {result:?}", key.short()))?;
        }
    }
    Ok(())
}

pub(super) fn invariant_a_campaign_never_shrinks(moment: &Moment<'_>) -> Result<(), String> {
    for campaign in moment.before.campaigns() {
        let [was, is] = [moment.before, moment.after].map(|scheduler| scheduler.plan(&campaign.campaign));
        let (Some(was), Some(is)) = (was, is) else { return Err(format!("{} is forgotten", campaign.name)) };
        // Trials of a search continue.
        let has = |trial: &Trial| is.trials.iter().any(|it| it.id == trial.id && it.path.starts_with(&trial.path));
        let missing = was.trials.iter().find(|trial| !has(trial));
        ensure(missing.is_none(), || format!("{} lost {missing:?}", campaign.name))?;
        let keys: BTreeSet<_> = is.keys().collect();
        ensure(was.keys().all(|key| keys.contains(&key)), || format!("{} lost a stage", campaign.name))?;
    }
    Ok(())
}

pub(super) fn invariant_a_campaign_is_over_when_none_of_its_stages_is_open(moment: &Moment<'_>) -> Result<(), String> {
    for campaign in moment.after.campaigns().filter(|campaign| campaign.phase != CampaignPhase::Cancelled) {
        let open =
            [campaign.stages, campaign.evaluations].iter().map(|counts| counts.waiting + counts.running).sum::<usize>();
        ensure((campaign.phase == CampaignPhase::Ended) == (open == 0), || {
            format!("{} is {:?} with {open} stages open", campaign.name, campaign.phase)
        })?;
    }
    Ok(())
}

pub(super) fn invariant_deadlines_lie_ahead(moment: &Moment<'_>) -> Result<(), String> {
    let next = moment.after.next_deadline();
    let running = stages(moment.after).any(|(_, state)| matches!(state, StageState::Running { .. }));
    ensure(!running || next.is_some(), || "a lease never ends".to_owned())?;
    let overdue = *moment.event == Event::TimePassed && next.is_some_and(|next| next <= moment.now);
    ensure(!overdue, || format!("{next:?} has come"))
}

pub(super) fn invariant_a_search_has_what_its_results_ask_for(moment: &Moment<'_>) -> Result<(), String> {
    if !moment.effects.iter().any(|effect| matches!(effect, Effect::Record(_))) {
        return Ok(()); // Nothing has changed.
    }
    for status in moment.after.campaigns().filter(|status| status.phase != CampaignPhase::Cancelled) {
        let Some(progress) = moment.after.ledger().search_progress(&status.campaign) else { continue };
        let Some(plan) = moment.after.plan(&status.campaign) else { continue };
        ensure(progress.stages.is_empty() && progress.trials == plan.trials, || {
            format!("{} lacks {} stages", status.name, progress.stages.len())
        })?;
        let ended = progress.standings.iter().filter(|standing| standing.end.is_some()).count();
        let evaluations = status.evaluations.waiting + status.evaluations.running;
        let is_over = ended == plan.trials_in_the_end() && evaluations == 0;
        ensure((status.phase == CampaignPhase::Ended) == is_over, || {
            format!("{} is {:?} with {ended} trials that have ended", status.name, status.phase)
        })?;
    }
    Ok(())
}
