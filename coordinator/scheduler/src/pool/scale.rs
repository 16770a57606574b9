//! What to submit and what to release.

use super::allocation::{AllocationNumber, AllocationState, Allocations};
use super::demand::Demand;
use super::settings::PoolSettings;
use crate::time::Timestamp;

/// An order to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Ask for an allocation of this number.
    Submit(AllocationNumber),
    /// Have this one's worker go.
    Release(AllocationNumber),
}

/// What follows from the demand and from what is there.
///
/// A pool wants an allocation for each of its workers that has a stage and for each ready stage that fits, within its
/// bounds. One that waits for its back-off counts as there, or another number would take its place at once.
#[must_use]
pub fn scale(now: Timestamp, demand: &Demand, allocations: &Allocations, settings: &PoolSettings) -> Vec<Order> {
    let (mut busy, mut there, mut backing_off) = (0, 0, 0);
    for (_, state) in allocations.iter() {
        match state {
            AllocationState::Alive { worker, is_released: false, .. } => {
                there += 1;
                busy += usize::from(demand.busy.contains(&worker));
            }
            AllocationState::Ended { replace_at } if replace_at > now => backing_off += 1,
            AllocationState::Alive { .. } | AllocationState::Ended { .. } | AllocationState::Abandoned => {}
        }
    }
    let wanted = (busy + demand.fitting(settings.memory_bytes)).clamp(settings.min as usize, settings.max as usize);
    let numbers = (1..=settings.max).map(AllocationNumber);
    let is_free = |number: &AllocationNumber| match allocations.get(*number) {
        None => true,
        Some(AllocationState::Ended { replace_at }) => replace_at <= now,
        Some(AllocationState::Alive { .. } | AllocationState::Abandoned) => false,
    };
    let missing = wanted.saturating_sub(there + backing_off);
    let submitted = numbers.filter(is_free).take(missing).map(Order::Submit);
    let is_idle = |(_, state): &(AllocationNumber, AllocationState)| match (state, settings.idle_time) {
        (AllocationState::Alive { idle_since: Some(since), is_released: false, .. }, Some(idle_time)) => {
            now >= *since + idle_time
        }
        _ => false,
    };
    let idle = allocations.iter().filter(is_idle);
    let released = idle.take(there.saturating_sub(wanted)).map(|(number, _)| Order::Release(number));
    submitted.chain(released).collect()
}
