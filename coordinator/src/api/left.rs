//! Estimates the time that campaigns still take from measured speeds: the store has those of finished stages, workers report
//! those of running ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use recipes::price::{self, Left, Measured, Measurement, Standing};
use scheduler::{CampaignPhase, CampaignStatus, Slot, StageState};
use tokio::sync::Mutex;
use tokio::time::Instant;
use vocabulary::{AttemptKey, CampaignId, Plan, StageKey};

use super::{Api, ApiError};
use crate::driver::view::View;
use crate::store::WholeAttempt;

/// How old an estimate may be. It takes a look at every stage of the open campaigns.
const LASTS: Duration = Duration::from_secs(2);

/// The latest estimate, shared by all who ask.
#[derive(Debug, Default)]
pub(crate) struct Estimates(Mutex<Option<(Instant, Arc<TimesLeft>)>>);

/// How long each open campaign still takes. A campaign without an estimate has no entry.
pub(crate) type TimesLeft = BTreeMap<CampaignId, Left>;

impl Api {
    /// How long the open campaigns still take, by an estimate that is at most two seconds old.
    pub(crate) async fn times_left(&self) -> Result<Arc<TimesLeft>, ApiError> {
        let mut latest = self.estimates.0.lock().await;
        if let Some((at, known)) = latest.as_ref().filter(|(at, _)| at.elapsed() < LASTS) {
            let since = at.elapsed().as_secs_f64();
            let now = |left: &Left| Left { seconds: (left.seconds - since).max(0.0), ..*left };
            return Ok(Arc::new(known.iter().map(|(campaign, left)| (*campaign, now(left))).collect()));
        }
        // Without workers there is nothing to estimate, so the store is not read.
        if self.look(able_workers).await? == 0 {
            return Ok(Arc::default());
        }
        let whole = self.store.whole_attempts().await.map_err(ApiError::Store)?;
        let found = Arc::new(self.look(move |view| times_left(view, &whole)).await?);
        *latest = Some((Instant::now(), Arc::clone(&found)));
        Ok(found)
    }
}

/// How long a campaign still takes. One that is over takes no time, even if the latest estimate is from before its end.
pub(super) fn time_left(left: &TimesLeft, status: &CampaignStatus) -> Option<Left> {
    left.get(&status.campaign).filter(|_| status.phase == CampaignPhase::Open).copied()
}

/// An open campaign, as far as its time is concerned.
struct Open {
    campaign: CampaignId,
    weight: f64,
    left: Option<Left>,
}

fn times_left(view: &View, whole: &[WholeAttempt]) -> TimesLeft {
    let workers = able_workers(view);
    let phase = |campaign: &CampaignId| view.scheduler.campaign_status(campaign).map(|status| status.phase);
    let is_open = |campaign: &CampaignId| phase(campaign) == Some(CampaignPhase::Open);
    let open = |campaign: CampaignId| {
        let weight = f64::from(u32::from(view.scheduler.ledger().campaign(&campaign)?.weight()));
        let plan = view.scheduler.plan(&campaign)?;
        let speeds = measured(view, plan, whole).speeds();
        let left = price::left(plan, |key| standing(view, key), &speeds, workers);
        Some(Open { campaign, weight, left })
    };
    let open: Vec<Open> = view.submitted().into_iter().filter(is_open).filter_map(open).collect();
    shared(&open)
}

/// Campaigns take turns by their weights: each takes as much longer as it shares the workers with others, but never longer
/// than all together.
fn shared(open: &[Open]) -> TimesLeft {
    let weights: f64 = open.iter().map(|open| open.weight).sum();
    let all: Option<f64> = open.iter().map(|open| open.left.map(|left| left.seconds)).sum();
    let of = |open: &Open| {
        let left = open.left?;
        let in_turns = left.seconds * weights / open.weight;
        let seconds = in_turns.min(all.unwrap_or(f64::INFINITY)).max(left.seconds);
        Some((open.campaign, Left { seconds, ..left }))
    };
    open.iter().filter_map(of).collect()
}

/// Workers that are connected and may be given something.
fn able_workers(view: &View) -> usize {
    let is_able = |worker: &scheduler::WorkerStatus| {
        view.is_connected(&worker.worker) && worker.held_back.is_none() && worker.slot != Slot::Leaving
    };
    view.scheduler.workers().filter(is_able).count()
}

/// Progress of a stage or an evaluation, as its worker reports it, or else from its last checkpoint.
fn standing(view: &View, key: &StageKey) -> Standing {
    let ledger = view.scheduler.ledger();
    let committed = || ledger.checkpoints(key).last().unwrap_or(0);
    match ledger.stage_state(key) {
        Some(StageState::Waiting) => Standing::At { step: committed() },
        Some(StageState::Running { worker, attempt }) => {
            let key = AttemptKey { stage: *key, attempt: *attempt };
            let latest = view.progress(worker, key).and_then(|progress| progress.latest.as_ref());
            Standing::At { step: latest.map_or(0, |latest| latest.step.saturating_add(1)).max(committed()) }
        }
        Some(_) | None => Standing::Over,
    }
}

/// Measured speeds for a campaign: from its own finished stages, or from running ones if none has finished, and from the
/// finished stages of other campaigns.
fn measured(view: &View, plan: &Plan, whole: &[WholeAttempt]) -> Measured {
    let keys: BTreeSet<StageKey> = plan.keys().collect();
    let mut measured = Measured::default();
    for attempt in whole {
        let Some(stage) = view.scheduler.stage(&attempt.stage) else { continue };
        // A clock that was set back measures nothing.
        let milliseconds = attempt.ended_at_ms.saturating_sub(attempt.started_at_ms);
        if milliseconds > 0 {
            let of = if keys.contains(&stage.key) { &mut measured.own } else { &mut measured.others };
            Measurement::add_to(of, &stage.spec, milliseconds as f64 / 1e3);
        }
    }
    let mut live: Vec<Measurement> = Vec::new();
    for (worker, key) in view.scheduler.running() {
        let Some(stage) = view.scheduler.stage(&key.stage).filter(|stage| keys.contains(&stage.key)) else { continue };
        let rate = view.progress(&worker, key).map_or(0.0, |progress| progress.tokens_per_second);
        let is_known = measured.own.iter().any(|measured| measured.is_of(&stage.spec));
        if rate > 0.0 && rate.is_finite() && !is_known {
            Measurement::add_to(&mut live, &stage.spec, stage.spec.tokens().0 as f64 / rate);
        }
    }
    measured.own.append(&mut live);
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn campaigns_that_share_the_workers_take_longer_but_never_longer_than_all() {
        let [one, other] = [b"one", b"two"].map(|name| CampaignId::from_content(name));
        let left = |seconds| Some(Left { seconds, at_least: false });
        let open = |campaign, weight, left| Open { campaign, weight, left };
        let of = |open: &[Open], campaign| shared(open).get(&campaign).map(|left| left.seconds);
        assert_eq!(of(&[open(one, 1.0, left(60.0))], one), Some(60.0));
        let even = [open(one, 1.0, left(60.0)), open(other, 1.0, left(100.0))];
        assert_eq!((of(&even, one), of(&even, other)), (Some(120.0), Some(160.0)));
        let uneven = [open(one, 3.0, left(60.0)), open(other, 1.0, left(100.0))];
        assert_eq!((of(&uneven, one), of(&uneven, other)), (Some(80.0), Some(160.0)));
        let unknown = [open(one, 1.0, left(60.0)), open(other, 1.0, None)];
        assert_eq!((of(&unknown, one), of(&unknown, other)), (Some(120.0), None));
    }
}
