//! What is true after every event. Each invariant is a function, and its name is the sentence.

mod log;
mod orders;
mod state;
mod witness;

use scheduler::{CampaignPhase, Effect, Event, Fact, Scheduler, Settings, StageState, Timestamp};
use vocabulary::{AttemptKey, Retries, StageKey, WorkerId};

use crate::process::claim;
pub(crate) use witness::Witness;

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

const ALL: [(&str, Check); 18] = [
    ("invariant_stage_has_at_most_one_live_lease", state::invariant_stage_has_at_most_one_live_lease),
    ("invariant_no_worker_idles_beside_a_ready_stage", state::invariant_no_worker_idles_beside_a_ready_stage),
    ("invariant_what_is_settled_stays_settled", state::invariant_what_is_settled_stays_settled),
    ("invariant_what_cannot_start_lies_below_a_dead_end", state::invariant_what_cannot_start_lies_below_a_dead_end),
    (
        "invariant_result_is_of_the_attempt_that_settled_first",
        state::invariant_result_is_of_the_attempt_that_settled_first,
    ),
    ("invariant_a_campaign_never_shrinks", state::invariant_a_campaign_never_shrinks),
    (
        "invariant_a_campaign_is_over_when_none_of_its_stages_is_open",
        state::invariant_a_campaign_is_over_when_none_of_its_stages_is_open,
    ),
    ("invariant_a_search_has_what_its_results_ask_for", state::invariant_a_search_has_what_its_results_ask_for),
    ("invariant_deadlines_lie_ahead", state::invariant_deadlines_lie_ahead),
    ("invariant_restore_equals_state", log::invariant_restore_equals_state),
    ("invariant_nothing_from_old_attempt_counts", log::invariant_nothing_from_old_attempt_counts),
    ("invariant_attempts_are_numbered_without_gaps", log::invariant_attempts_are_numbered_without_gaps),
    ("invariant_ends_are_counted_apart", log::invariant_ends_are_counted_apart),
    ("invariant_a_stage_stops_at_its_limit_and_not_before", log::invariant_a_stage_stops_at_its_limit_and_not_before),
    ("invariant_only_what_is_wanted_is_started", orders::invariant_only_what_is_wanted_is_started),
    ("invariant_assignments_follow_the_log", orders::invariant_assignments_follow_the_log),
    (
        "invariant_slot_is_free_only_when_its_drop_is_confirmed",
        orders::invariant_slot_is_free_only_when_its_drop_is_confirmed,
    ),
    (
        "invariant_an_order_that_never_arrived_is_given_again",
        orders::invariant_an_order_that_never_arrived_is_given_again,
    ),
];

/// Checks them all, but for those that need to know more than a moment: [`Witness`].
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
    scheduler.ledger().nodes().map(|(work, state)| (work.key(), state))
}

fn recorded<'a>(moment: &Moment<'a>) -> impl Iterator<Item = &'a Fact> {
    moment.effects.iter().filter_map(|effect| match effect {
        Effect::Record(fact) => Some(fact),
        _ => None,
    })
}

/// The patience of all who want a stage, or the usual one where nobody does.
fn patience(scheduler: &Scheduler, stage: &StageKey) -> Retries {
    let wanting = scheduler.campaigns().filter(|campaign| campaign.phase != CampaignPhase::Cancelled);
    let plans = wanting.filter_map(|campaign| scheduler.plan(&campaign.campaign));
    let retries = plans.filter(|plan| plan.keys().any(|key| key == *stage)).map(|plan| plan.retries);
    retries.reduce(|one, other| one.or_more_patient(&other)).unwrap_or_default()
}

/// A report on an attempt, and whose.
fn report(event: &Event) -> Option<(WorkerId, AttemptKey)> {
    let key = claim(event)?;
    match event {
        Event::CheckpointCommitted { worker, .. }
        | Event::StageCompleted { worker, .. }
        | Event::StageDiverged { worker, .. }
        | Event::AttemptFailed { worker, .. }
        | Event::AttemptReleased { worker, .. }
        | Event::StartUnusable { worker, .. }
        | Event::StorageFailed { worker, .. }
        | Event::CheckpointRefused { worker, .. }
        | Event::RevocationConfirmed { worker, .. } => Some((*worker, key)),
        _ => None,
    }
}
