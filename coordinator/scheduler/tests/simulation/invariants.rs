//! What is true after every event.

use std::collections::BTreeSet;

use recipes::{StageKey, WorkerId};
use scheduler::{
    CampaignPhase, Effect, Event, Fact, Scheduler, Settings, Slot, StageState, Standing, Timestamp, WaitReason,
};

use crate::process::claim;

/// An event, with how things stood before and after it.
pub(crate) struct Moment<'a> {
    pub(crate) now: Timestamp,
    pub(crate) settings: Settings,
    pub(crate) before: &'a Scheduler,
    pub(crate) event: &'a Event,
    pub(crate) effects: &'a [Effect],
    pub(crate) after: &'a Scheduler,
    /// The whole log.
    pub(crate) facts: &'a [Fact],
}

type Check = fn(&Moment<'_>) -> Result<(), String>;

const ALL: [(&str, Check); 10] = [
    ("invariant_stage_has_at_most_one_live_lease", invariant_stage_has_at_most_one_live_lease),
    ("invariant_restore_equals_state", invariant_restore_equals_state),
    ("invariant_nothing_from_old_attempt_counts", invariant_nothing_from_old_attempt_counts),
    ("invariant_no_worker_idles_beside_a_ready_stage", invariant_no_worker_idles_beside_a_ready_stage),
    ("invariant_what_is_settled_stays_settled", invariant_what_is_settled_stays_settled),
    ("invariant_what_cannot_start_lies_below_a_dead_end", invariant_what_cannot_start_lies_below_a_dead_end),
    ("invariant_only_what_is_wanted_is_started", invariant_only_what_is_wanted_is_started),
    ("invariant_assignments_follow_the_log", invariant_assignments_follow_the_log),
    ("invariant_result_is_of_the_attempt_that_settled", invariant_result_is_of_the_attempt_that_settled),
    ("invariant_deadlines_lie_ahead", invariant_deadlines_lie_ahead),
];

/// Checks them all.
///
/// # Errors
/// The first that does not hold.
pub(crate) fn check(moment: &Moment<'_>) -> Result<(), String> {
    ALL.iter().try_for_each(|(name, check)| check(moment).map_err(|detail| format!("{name}: {detail}")))
}

fn ensure(holds: bool, detail: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(detail()) }
}

fn stages(scheduler: &Scheduler) -> impl Iterator<Item = (StageKey, &StageState)> {
    scheduler.ledger().stages().map(|(stage, state)| (stage.key, state))
}

fn invariant_stage_has_at_most_one_live_lease(moment: &Moment<'_>) -> Result<(), String> {
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
            if let Slot::Busy { stage, attempt } = known.slot
                && stage == key
            {
                ensure(running == Some((known.worker, attempt)), || {
                    format!("{} has {}{attempt}, which is {state:?}", known.name, key.short())
                })?;
            }
        }
    }
    Ok(())
}

fn invariant_restore_equals_state(moment: &Moment<'_>) -> Result<(), String> {
    let restored = Scheduler::restore(moment.settings, moment.now, moment.facts.iter().cloned());
    let restored = restored.map_err(|error| format!("{error}: {}", error.source))?;
    ensure(restored.ledger() == moment.after.ledger(), || "the log adds up to something else".to_owned())?;
    // Waits between retries end with the process; apart from these the queues are the same.
    let backing_off = stages(moment.after)
        .map(|(key, _)| key)
        .filter(|key| matches!(moment.after.explain(key), Some(WaitReason::Backoff { .. })));
    let queued: BTreeSet<StageKey> = moment.after.ready().into_iter().chain(backing_off).collect();
    ensure(restored.ready().into_iter().collect::<BTreeSet<_>>() == queued, || "the queue differs".to_owned())
}

fn invariant_nothing_from_old_attempt_counts(moment: &Moment<'_>) -> Result<(), String> {
    let (Some((stage, attempt)), Some(worker)) = (claim(moment.event), sender(moment.event)) else { return Ok(()) };
    if moment.before.standing(worker, stage, attempt) == Standing::Current {
        return Ok(());
    }
    for effect in moment.effects {
        if let Effect::Record(fact) = effect {
            let started = matches!(fact, Fact::AttemptStarted { .. });
            ensure(started, || format!("{} on the word of {}{attempt}", fact.name(), stage.short()))?;
        }
    }
    Ok(())
}

fn invariant_no_worker_idles_beside_a_ready_stage(moment: &Moment<'_>) -> Result<(), String> {
    let idle = moment.after.workers().find(|known| known.slot == Slot::Idle);
    let ready = moment.after.ready();
    match (idle, ready.first()) {
        (Some(idle), Some(stage)) => Err(format!("{} beside {}", idle.name, stage.short())),
        _ => Ok(()),
    }
}

fn invariant_what_is_settled_stays_settled(moment: &Moment<'_>) -> Result<(), String> {
    for (key, before) in stages(moment.before) {
        let [was, is] = [moment.before, moment.after].map(|scheduler| scheduler.stage_status(&key));
        let (Some(was), Some(is)) = (was, is) else { return Err(format!("{} is forgotten", key.short())) };
        let settled = matches!(before, StageState::Completed { .. } | StageState::Diverged { .. });
        ensure(!settled || was.state == is.state, || {
            format!("{} went from {before:?} to {:?}", key.short(), is.state)
        })?;
        ensure(was.checkpoint <= is.checkpoint, || format!("{} lost a checkpoint", key.short()))?;
        ensure(was.attempts <= is.attempts, || format!("{} gives an attempt out twice", key.short()))?;
    }
    Ok(())
}

fn invariant_what_cannot_start_lies_below_a_dead_end(moment: &Moment<'_>) -> Result<(), String> {
    let ledger = moment.after.ledger();
    for (stage, state) in ledger.stages() {
        let parent = stage.parent.and_then(|parent| ledger.stage_state(&parent));
        let below_dead_end = match parent {
            Some(StageState::Failed { .. } | StageState::Diverged { .. } | StageState::NotRun { .. }) => true,
            Some(StageState::Waiting | StageState::Running { .. } | StageState::Completed { .. }) | None => false,
        };
        let is_not_run = matches!(state, StageState::NotRun { .. });
        ensure(is_not_run == below_dead_end, || format!("{} is {state:?} below {parent:?}", stage.key.short()))?;
    }
    Ok(())
}

fn invariant_only_what_is_wanted_is_started(moment: &Moment<'_>) -> Result<(), String> {
    for effect in moment.effects {
        if let Effect::Record(Fact::AttemptStarted { stage, .. }) = effect {
            let wanted = moment.after.campaigns().any(|campaign| {
                let plan = moment.after.plan(&campaign.campaign);
                campaign.phase == CampaignPhase::Open && plan.is_some_and(|plan| plan.stage(stage).is_some())
            });
            ensure(wanted, || format!("nobody wants {}", stage.short()))?;
        }
    }
    Ok(())
}

fn invariant_assignments_follow_the_log(moment: &Moment<'_>) -> Result<(), String> {
    for effect in moment.effects {
        let Effect::Assign { worker, stage, attempt, resume_from, parent } = effect else { continue };
        let status = moment.after.stage_status(stage).ok_or("an unknown stage is assigned")?;
        let running = StageState::Running { worker: *worker, attempt: *attempt };
        ensure(status.state == running, || format!("assigned while {:?}", status.state))?;
        ensure(*resume_from == status.checkpoint, || format!("from {resume_from:?}, not {:?}", status.checkpoint))?;
        let parent_state = parent.and_then(|parent| moment.after.ledger().stage_state(&parent));
        let has_start = parent.is_none() || matches!(parent_state, Some(StageState::Completed { .. }));
        ensure(has_start, || format!("from a parent that is {parent_state:?}"))?;
        let slot = moment.after.workers().find(|known| known.worker == *worker).map(|known| known.slot);
        let busy = Slot::Busy { stage: *stage, attempt: *attempt };
        ensure(slot == Some(busy), || format!("to a worker with {slot:?}"))?;
    }
    Ok(())
}

fn invariant_result_is_of_the_attempt_that_settled(moment: &Moment<'_>) -> Result<(), String> {
    for (key, state) in stages(moment.after) {
        if let StageState::Completed { attempt, result } = state {
            let expected = Some(f64::from(attempt.0));
            ensure(result.validation_loss == expected, || format!("{}{attempt} has {result:?}", key.short()))?;
        }
    }
    Ok(())
}

fn invariant_deadlines_lie_ahead(moment: &Moment<'_>) -> Result<(), String> {
    let next = moment.after.next_deadline();
    let running = stages(moment.after).any(|(_, state)| matches!(state, StageState::Running { .. }));
    ensure(!running || next.is_some(), || "a lease never ends".to_owned())?;
    let overdue = *moment.event == Event::TimePassed && next.is_some_and(|next| next <= moment.now);
    ensure(!overdue, || format!("{next:?} has come"))
}

fn sender(event: &Event) -> Option<WorkerId> {
    match event {
        Event::CheckpointCommitted { worker, .. }
        | Event::StageCompleted { worker, .. }
        | Event::StageDiverged { worker, .. }
        | Event::AttemptFailed { worker, .. }
        | Event::AttemptReleased { worker, .. }
        | Event::RevocationConfirmed { worker, .. } => Some(*worker),
        _ => None,
    }
}
