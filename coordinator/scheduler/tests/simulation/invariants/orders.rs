//! What is true of the orders that are given.

use scheduler::{CampaignPhase, Effect, Event, Fact, Scheduler, Slot, StageState};
use vocabulary::{AttemptKey, WorkerId};

use super::{Moment, ensure, report, stages};

pub(super) fn invariant_only_what_is_wanted_is_started(moment: &Moment<'_>) -> Result<(), String> {
    for effect in moment.effects {
        if let Effect::Record(Fact::AttemptStarted { stage, .. }) = effect {
            let wanted = moment.after.campaigns().any(|campaign| {
                let plan = moment.after.plan(&campaign.campaign);
                campaign.phase == CampaignPhase::Open && plan.is_some_and(|plan| plan.keys().any(|key| key == *stage))
            });
            ensure(wanted, || format!("nobody wants {}", stage.short()))?;
        }
    }
    Ok(())
}

pub(super) fn invariant_assignments_follow_the_log(moment: &Moment<'_>) -> Result<(), String> {
    for effect in moment.effects {
        let Effect::Assign { worker, key, resume_from, parent } = effect else { continue };
        let status = moment.after.stage_status(&key.stage).ok_or("an unknown stage is assigned")?;
        let running = StageState::Running { worker: *worker, attempt: key.attempt };
        ensure(status.state == running, || format!("assigned while {:?}", status.state))?;
        ensure(*resume_from == status.checkpoint, || format!("from {resume_from:?}, not {:?}", status.checkpoint))?;
        let parent_state = parent.and_then(|parent| moment.after.ledger().stage_state(&parent));
        let has_start = resume_from.is_some()
            || parent.is_none_or(|parent| {
                let end = moment.after.stage(&parent).map(|parent| parent.spec.steps.end);
                matches!(parent_state, Some(StageState::Completed { .. }))
                    && moment.after.ledger().checkpoints(&parent).last() == end
            });
        ensure(has_start, || format!("from a parent that is {parent_state:?}"))?;
        let slot = moment.after.workers().find(|known| known.worker == *worker).map(|known| known.slot);
        let busy = Slot::Busy(*key);
        ensure(slot == Some(busy), || format!("to a worker with {slot:?}"))?;
    }
    Ok(())
}

pub(super) fn invariant_slot_is_free_only_when_its_drop_is_confirmed(moment: &Moment<'_>) -> Result<(), String> {
    let slot = |scheduler: &Scheduler, worker: WorkerId| {
        scheduler.workers().find(|known| known.worker == worker).map(|known| known.slot)
    };
    for known in moment.before.workers() {
        let Slot::Dropping(key) = known.slot else { continue };
        let after = slot(moment.after, known.worker);
        if after.is_none() || after == Some(known.slot) {
            continue;
        }
        let said_so = report(moment.event) == Some((known.worker, key));
        let joined = matches!(moment.event, Event::WorkerJoined { worker, .. } if *worker == known.worker);
        ensure(said_so || joined, || format!("{} was dropping {key} and has {after:?} now", known.name))?;
    }
    Ok(())
}

/// What a worker has by the ledger and does not speak of when it joins, it was never told of; or the attempt is over.
pub(super) fn invariant_an_order_that_never_arrived_is_given_again(moment: &Moment<'_>) -> Result<(), String> {
    let Event::WorkerJoined { worker: joined, running, .. } = moment.event else { return Ok(()) };
    for (stage, state) in stages(moment.after) {
        let StageState::Running { worker, attempt } = *state else { continue };
        let current = AttemptKey { stage, attempt };
        if worker != *joined || running.contains(&current) {
            continue;
        }
        let is_given = moment
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Assign { worker, key, .. } if (worker, key) == (joined, &current)));
        ensure(is_given, || format!("{joined} is not told of {current}"))?;
    }
    Ok(())
}
