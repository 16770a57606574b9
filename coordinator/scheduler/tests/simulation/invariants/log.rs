//! What is true of the log, and of the state because of it.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::{AttemptEnd, Counts, Fact, RetryCount, Scheduler, Standing, WaitReason};
use vocabulary::StageKey;

use super::{Moment, ensure, patience, recorded, report, stages};

pub(super) fn invariant_restore_equals_state(moment: &Moment<'_>) -> Result<(), String> {
    if recorded(moment).next().is_none() {
        return ensure(moment.before.ledger() == moment.after.ledger(), || "it changed without a fact".to_owned());
    }
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

pub(super) fn invariant_nothing_from_old_attempt_counts(moment: &Moment<'_>) -> Result<(), String> {
    let Some((worker, key)) = report(moment.event) else { return Ok(()) };
    if moment.before.standing(worker, key) == Standing::Current {
        return Ok(());
    }
    for fact in recorded(moment) {
        let started = matches!(fact, Fact::AttemptStarted { .. });
        ensure(started, || format!("{} on the word of {key}", fact.name()))?;
    }
    Ok(())
}

pub(super) fn invariant_attempts_are_numbered_without_gaps(moment: &Moment<'_>) -> Result<(), String> {
    let mut last: BTreeMap<StageKey, u32> = BTreeMap::new();
    for fact in moment.facts {
        if let Fact::AttemptStarted { stage, attempt, .. } = fact {
            let before = last.insert(*stage, attempt.0).unwrap_or(0);
            ensure(attempt.0 == before + 1, || format!("{}{attempt} comes after #{before}", stage.short()))?;
        }
    }
    Ok(())
}

/// What an end says: an error is a failure once it had begun, and the loss of a worker is never one.
fn kind(why: &AttemptEnd) -> Option<RetryCount> {
    match why {
        AttemptEnd::Failed { started: true, .. } | AttemptEnd::ProtocolBroken { .. } => Some(RetryCount::Failed),
        AttemptEnd::Failed { started: false, .. }
        | AttemptEnd::LeaseExpired { started: false }
        | AttemptEnd::WorkerLeft { started: false } => Some(RetryCount::NotStarted),
        AttemptEnd::LeaseExpired { started: true }
        | AttemptEnd::WorkerLeft { started: true }
        | AttemptEnd::Released
        | AttemptEnd::Lost => Some(RetryCount::Preempted),
        AttemptEnd::Declined
        | AttemptEnd::Revoked
        | AttemptEnd::StartUnusable { .. }
        | AttemptEnd::StorageFailed { .. } => None,
    }
}

/// How attempts ended, counted from the log: the three counts of each stage that has any.
fn counted(facts: &[Fact]) -> BTreeMap<StageKey, Counts> {
    let mut counted: BTreeMap<StageKey, Counts> = BTreeMap::new();
    for fact in facts {
        let Some(stage) = fact.stage() else { continue };
        let counts = counted.entry(stage).or_default();
        match fact {
            Fact::AttemptEnded { excused: true, .. } => {}
            Fact::AttemptEnded { why, .. } => match kind(why) {
                Some(RetryCount::NotStarted) => counts.not_started += 1,
                Some(RetryCount::Preempted) => counts.preempted += 1,
                Some(RetryCount::Failed) => counts.failed += 1,
                None => {}
            },
            Fact::CheckpointCommitted { .. } => (counts.not_started, counts.preempted) = (0, 0),
            Fact::StageRetried { .. } | Fact::StageReopened { .. } => *counts = Counts::default(),
            _ => {}
        }
    }
    counted
}

pub(super) fn invariant_ends_are_counted_apart(moment: &Moment<'_>) -> Result<(), String> {
    if recorded(moment).next().is_none() {
        return Ok(());
    }
    for (stage, counts) in counted(moment.facts) {
        let kept = moment.after.stage_status(&stage).map(|status| status.counts);
        ensure(kept == Some(counts), || format!("{} has {kept:?}, and the log {counts:?}", stage.short()))?;
    }
    Ok(())
}

/// One worker alone gives up no stage while another could take it. By names: a process in another's place is the same worker.
pub(super) fn invariant_a_stage_stops_at_its_limit_and_not_before(moment: &Moment<'_>) -> Result<(), String> {
    let counts = counted(moment.facts);
    for fact in recorded(moment) {
        let (stage, given_up) = match fact {
            Fact::AttemptEnded { stage, .. } => (stage, None),
            Fact::StagePoisoned { stage, limit } => (stage, Some(*limit)),
            _ => continue,
        };
        let (counts, retries) = (counts.get(stage).copied().unwrap_or_default(), patience(moment.after, stage));
        let exceeds = |kind: &RetryCount| counts.of(*kind) > kind.limit(&retries);
        ensure(given_up.as_ref().is_none_or(exceeds), || {
            format!("{} was given up with {counts:?}, and {retries:?} are allowed", stage.short())
        })?;
        let against = |kind: RetryCount| failed_on(moment.facts, *stage, kind);
        // What ended may be within a limit that others, since cancelled, had raised; it is the end that counts.
        let ended_as = match fact {
            Fact::AttemptEnded { why, excused: false, .. } => kind(why),
            _ => None,
        };
        let goes_on = matches!(moment.after.ledger().stage_state(stage), Some(state) if state.is_open());
        let others = |kind: &RetryCount| {
            let names = against(*kind);
            moment.before.workers().any(|known| names.last() != Some(&known.name))
        };
        ensure(!(goes_on && ended_as.as_ref().is_some_and(|kind| exceeds(kind) && !others(kind))), || {
            format!("{} continues with {counts:?}, and {retries:?} are allowed", stage.short())
        })?;
    }
    Ok(())
}

/// The names of the workers whose attempts at a stage ended so and counted, the last one last.
fn failed_on(facts: &[Fact], stage: StageKey, count: RetryCount) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut last = String::new();
    for fact in facts.iter().filter(|fact| fact.stage() == Some(stage)) {
        match fact {
            Fact::AttemptStarted { name, .. } => last.clone_from(name),
            Fact::AttemptEnded { why, excused: false, .. } if kind(why) == Some(count) => {
                names.retain(|name| *name != last);
                names.push(last.clone());
            }
            Fact::CheckpointCommitted { .. } if count != RetryCount::Failed => names.clear(),
            Fact::StageRetried { .. } | Fact::StageReopened { .. } => names.clear(),
            _ => {}
        }
    }
    names
}
