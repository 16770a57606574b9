//! The size of pools: a world of allocations that live, end, fall silent and are forgotten by a restart, against sentences
//! that have to stay true. Jobs of a batch system have a file and a world of their own, `batch`.

mod batch;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use scheduler::Timestamp;
use scheduler::pool::{
    AllocationNumber, AllocationState, Allocations, Demand, Ending, Order, PoolSettings, Seen, scale,
};
use vocabulary::{Backoff, WorkerId};

use world::{Action, World, action, settings};

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(5) };

fn elastic(min: u32, max: u32) -> PoolSettings {
    PoolSettings { min, max, idle_time: Some(Duration::from_secs(10)), ..PoolSettings::fixed(max, BACKOFF, SOUND) }
}

const SOUND: Duration = Duration::from_secs(60);

fn worker(id: u8) -> WorkerId {
    WorkerId::from_bytes([id; 8])
}

fn demand(ready: &[(u64, usize)], busy: &[u8]) -> Demand {
    Demand { ready: ready.iter().copied().collect(), busy: busy.iter().map(|id| worker(*id)).collect() }
}

fn numbers(orders: &[Order]) -> (Vec<u32>, Vec<u32>) {
    let submitted = orders.iter().filter_map(|order| if let Order::Submit(it) = order { Some(it.0) } else { None });
    let released = orders.iter().filter_map(|order| if let Order::Release(it) = order { Some(it.0) } else { None });
    (submitted.collect(), released.collect())
}

#[test]
fn a_pool_grows_with_the_stages_that_are_ready_and_fit() {
    let settings = PoolSettings { memory_bytes: Some(16), ..elastic(1, 4) };
    let mut allocations = Allocations::default();
    let orders = |allocations: &Allocations, demand: &Demand| scale(Timestamp(0), demand, allocations, &settings);
    assert_eq!(
        numbers(&orders(&allocations, &demand(&[(99, 7)], &[]))),
        (vec![1], vec![]),
        "the minimum, for none fits"
    );
    assert_eq!(numbers(&orders(&allocations, &demand(&[(8, 1), (16, 1)], &[]))), (vec![1, 2], vec![]));
    allocations.submitted(Timestamp(0), AllocationNumber(1), worker(1));
    assert_eq!(numbers(&orders(&allocations, &demand(&[(8, 1)], &[]))), (vec![], vec![]), "the first one takes it");
    assert_eq!(numbers(&orders(&allocations, &demand(&[(8, 1)], &[1]))), (vec![2], vec![]), "the first one is busy");
    assert_eq!(numbers(&orders(&allocations, &demand(&[(8, 99)], &[1]))), (vec![2, 3, 4], vec![]), "the maximum");
}

#[test]
fn waits_double_as_long_as_allocations_end_early_and_begin_anew_after_a_sound_life() {
    let settings = PoolSettings::fixed(1, BACKOFF, SOUND);
    let (mut allocations, mut now, number) = (Allocations::default(), Timestamp(0), AllocationNumber(1));
    let mut end_after = |life: Duration| {
        allocations.submitted(now, number, worker(1));
        now = now + life;
        let seen = BTreeMap::from([(number, Seen::Ended(Ending::Replaceable))]);
        allocations.observed(now, &seen, &settings);
        let due = allocations.next_deadline(now, &settings).expect("it is replaced");
        let wait = due.since(now);
        assert!(scale(now, &Demand::default(), &allocations, &settings).is_empty(), "it waits");
        now = due;
        assert_eq!(scale(now, &Demand::default(), &allocations, &settings), [Order::Submit(number)]);
        wait.as_millis()
    };
    assert_eq!([0, 0, 0].map(|life| end_after(Duration::from_secs(life))), [100, 200, 400]);
    assert_eq!([60, 0].map(|life| end_after(Duration::from_secs(life))), [100, 200]);
}

#[test]
fn a_number_that_backs_off_is_not_replaced_by_another() {
    let settings = elastic(0, 4);
    let mut allocations = Allocations::default();
    allocations.submitted(Timestamp(0), AllocationNumber(1), worker(1));
    allocations.observed(Timestamp(1), &BTreeMap::new(), &settings);
    assert_eq!(scale(Timestamp(1), &demand(&[(1, 1)], &[]), &allocations, &settings), []);
}

#[test]
fn what_cannot_work_is_abandoned_and_said_to_be_once_all_are() {
    let settings = PoolSettings::fixed(2, BACKOFF, SOUND);
    let mut allocations = Allocations::default();
    for number in [1, 2] {
        assert!(!allocations.are_abandoned(&settings));
        allocations.submitted(Timestamp(0), AllocationNumber(number), worker(number as u8));
        let alive = (number == 1).then_some((AllocationNumber(2), Seen::Alive { worker: worker(2) }));
        let ended = (AllocationNumber(number), Seen::Ended(Ending::Hopeless));
        allocations.observed(Timestamp(1), &alive.into_iter().chain([ended]).collect(), &settings);
    }
    assert!(allocations.are_abandoned(&settings));
    let later = Timestamp(1_000_000);
    assert_eq!(scale(later, &demand(&[(1, 9)], &[]), &allocations, &settings), []);
    assert_eq!(allocations.next_deadline(later, &settings), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn invariants_of_a_pool(settings in settings(), actions in prop::collection::vec(action(), 1..80)) {
        let mut world = World::new(settings);
        for action in actions {
            world.act(&action);
            let orders = world.orders();
            prop_assert_eq!(&orders, &world.orders(), "the same state gives the same orders");
            world.carry_out(&orders);
            let alive = world.alive();
            prop_assert!(alive.len() <= settings.max as usize, "never above the maximum: {:?}", alive);
            if matches!(action, Action::Look | Action::Restart) {
                let known: BTreeSet<_> = world.allocations.alive().collect();
                prop_assert_eq!(known, alive, "what is alive is known, after a restart too");
            }
        }

        // Nothing else happens, and nobody wants anything: it comes down to the minimum, and up to it.
        world.settle();
        let expected = (settings.min as usize).min(settings.max as usize - world.abandoned());
        if settings.idle_time.is_some() {
            prop_assert_eq!(world.alive().len(), expected, "idle ones go, and silent ones are replaced");
        } else {
            prop_assert!(world.alive().len() >= expected, "silent ones are replaced");
        }
        let backs_off =
            |(_, state)| matches!(state, AllocationState::Ended { replace_at } if replace_at > world.now);
        prop_assert!(!world.allocations.iter().any(backs_off), "no back-off lasts forever");
    }
}
