//! Pools of batch jobs: each rule as a scene, and a world of a batch system that loses answers, with a caller that crashes.

mod world;

use std::time::Duration;

use proptest::prelude::*;
use scheduler::Timestamp;
use scheduler::pool::batch::{
    AllocationId, BatchOrder, BatchPool, BatchSettings, Idle, Job, JobEnd, JobId, JobState, Load, LoadWorker, Look,
    Mode,
};
use vocabulary::WorkerId;

use world::{Action, World, action};

const MARK: [u8; 8] = [7; 8];

fn settings() -> BatchSettings {
    BatchSettings {
        min: 0,
        max: 4,
        backlog: 4,
        workers_per_allocation: 1,
        idle: Duration::from_secs(300),
        per_minute: 100,
        settle: Duration::from_secs(30),
        misses: 2,
        absence_is_failure: true,
    }
}

fn pool(settings: BatchSettings) -> BatchPool {
    BatchPool::new(settings, MARK, Mode::Active, [])
}

fn id(number: u8) -> AllocationId {
    AllocationId::of(MARK, [number; 8])
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn ready(count: usize) -> Load {
    Load { ready: [(1 << 30, count)].into(), ..Load::default() }
}

/// The load with a worker of each of these allocations, busy or not, on a node of its number.
fn with_workers(mut load: Load, workers: &[(u8, bool)]) -> Load {
    for (number, is_busy) in workers {
        let (node, memory) = (Some(format!("n{number}")), Some(1 << 34));
        let worker = LoadWorker { allocation: id(*number), node, is_busy: *is_busy, memory };
        load.workers.insert(WorkerId::from_bytes([*number; 8]), worker);
    }
    load
}

fn job(number: u8, state: JobState) -> Job {
    let used = match state {
        JobState::Running | JobState::Ended(_) => Duration::from_secs(10),
        JobState::Pending | JobState::Held => Duration::ZERO,
    };
    let (node, left) = (Some("n9".to_owned()), Some(Duration::from_secs(3600)));
    Job { job: JobId(number.into()), allocation: id(number), state, reason: String::new(), node, used, left }
}

fn submits(orders: &[BatchOrder]) -> usize {
    orders.iter().filter(|order| matches!(order, BatchOrder::Submit { .. })).count()
}

/// Carries out the submissions among the orders: these allocations were submitted, as jobs of their numbers.
fn submit(pool: &mut BatchPool, now: Timestamp, numbers: std::ops::RangeInclusive<u8>) {
    for number in numbers {
        pool.intended(now, id(number));
        pool.submitted(id(number), JobId(number.into()));
    }
}

#[test]
fn a_trunk_with_six_branches_has_one_allocation_while_it_trains_and_more_when_they_are_ready() {
    let mut pool = pool(settings());
    assert_eq!(submits(&pool.handle(at(0), Look::Nothing, &ready(1))), 0, "nobody has looked yet");
    assert_eq!(submits(&pool.handle(at(1), Look::Jobs(&[]), &ready(1))), 1);
    submit(&mut pool, at(1), 1..=1);
    assert_eq!(pool.handle(at(2), Look::Jobs(&[job(1, JobState::Pending)]), &ready(1)), []);
    assert_eq!(pool.handle(at(3), Look::Jobs(&[job(1, JobState::Running)]), &ready(1)), []);
    let trunk = with_workers(ready(0), &[(1, true)]);
    assert_eq!(pool.handle(at(4), Look::Nothing, &trunk), []);
    assert_eq!(pool.why_idle(at(4), &trunk), Some(Idle::NoDemand));
    // The trunk's worker takes one of its six branches; five are left, and the pool has room for three more.
    let branches = with_workers(ready(5), &[(1, true)]);
    assert_eq!(submits(&pool.handle(at(9), Look::Nothing, &branches)), 3);
}

#[test]
fn maximum_backlog_and_rate_bound_what_is_submitted_and_the_pool_says_which() {
    let load = ready(9);
    let mut bounded = pool(BatchSettings { max: 2, ..settings() });
    assert_eq!(submits(&bounded.handle(at(0), Look::Jobs(&[]), &load)), 2);
    submit(&mut bounded, at(0), 1..=2);
    assert_eq!(bounded.handle(at(1), Look::Nothing, &load), []);
    assert_eq!(bounded.why_idle(at(1), &load), Some(Idle::AtMost { max: 2 }));

    let mut bounded = pool(BatchSettings { backlog: 1, ..settings() });
    assert_eq!(submits(&bounded.handle(at(0), Look::Jobs(&[]), &load)), 1);
    submit(&mut bounded, at(0), 1..=1);
    assert_eq!(bounded.why_idle(at(1), &load), Some(Idle::Backlog { waiting: 1 }));
    assert_eq!(submits(&bounded.handle(at(2), Look::Jobs(&[job(1, JobState::Running)]), &load)), 1);

    let mut bounded = pool(BatchSettings { per_minute: 1, ..settings() });
    assert_eq!(submits(&bounded.handle(at(0), Look::Jobs(&[]), &load)), 1);
    submit(&mut bounded, at(0), 1..=1);
    assert_eq!(bounded.handle(at(59), Look::Nothing, &load), []);
    assert_eq!(bounded.why_idle(at(59), &load), Some(Idle::Rate { per_minute: 1 }));
    assert_eq!(submits(&bounded.handle(at(60), Look::Nothing, &load)), 1);

    let mut kept = pool(BatchSettings { min: 2, ..settings() });
    assert_eq!(submits(&kept.handle(at(0), Look::Jobs(&[]), &ready(0))), 2, "the minimum, without any work");
}

#[test]
fn workers_of_one_allocation_share_the_work() {
    let mut pool = pool(BatchSettings { workers_per_allocation: 4, ..settings() });
    assert_eq!(submits(&pool.handle(at(0), Look::Jobs(&[]), &ready(9))), 3);
}

#[test]
fn nothing_is_submitted_and_nothing_is_over_while_slurm_is_away() {
    let mut pool = pool(settings());
    let load = ready(2);
    assert_eq!(submits(&pool.handle(at(0), Look::Jobs(&[]), &load)), 2);
    submit(&mut pool, at(0), 1..=1);
    for second in 1..100 {
        assert_eq!(pool.handle(at(second), Look::Away, &load), []);
        assert_eq!(pool.handle(at(second), Look::Nothing, &load), []);
    }
    assert_eq!(pool.why_idle(at(100), &load), Some(Idle::Away));
    // Back, and the job is missing: once says nothing.
    assert_eq!(submits(&pool.handle(at(101), Look::Jobs(&[]), &load)), 1);
    assert_eq!(pool.allocations().count(), 1);
    let orders = pool.handle(at(102), Look::Jobs(&[]), &load);
    assert!(orders.contains(&BatchOrder::Forget { allocation: id(1), end: JobEnd::Gone }), "{orders:?}");
}

#[test]
fn a_submission_whose_answer_was_lost_is_found_by_its_comment_or_given_up_once_it_has_settled() {
    let mut pool = pool(settings());
    pool.intended(at(0), id(1));
    pool.intended(at(0), id(2));
    let orders = pool.handle(at(5), Look::Jobs(&[job(1, JobState::Pending)]), &ready(2));
    assert_eq!(orders, [BatchOrder::Found { allocation: id(1), job: JobId(1) }], "the other one still counts");
    assert_eq!(pool.handle(at(6), Look::Jobs(&[job(1, JobState::Pending)]), &ready(2)), []);
    let orders = pool.handle(at(31), Look::Jobs(&[job(1, JobState::Pending)]), &ready(2));
    let given_up = BatchOrder::Forget { allocation: id(2), end: JobEnd::Gone };
    assert_eq!(orders, [given_up, BatchOrder::Submit { exclude: Vec::new() }]);
    // Had it been submitted after all, it is recognised by the pool's mark and counts.
    let jobs = [job(1, JobState::Pending), job(2, JobState::Pending)];
    let orders = pool.handle(at(32), Look::Jobs(&jobs), &ready(2));
    assert_eq!(orders, [], "there are two for two stages");
    let of_another_pool = Job { allocation: AllocationId::of([8; 8], [1; 8]), ..job(3, JobState::Pending) };
    let _ = pool.handle(at(33), Look::Jobs(&[jobs[0].clone(), jobs[1].clone(), of_another_pool]), &ready(2));
    assert_eq!(pool.allocations().count(), 2);
}

#[test]
fn a_node_on_which_allocations_end_early_twice_is_avoided_for_an_hour() {
    let mut pool = pool(BatchSettings { max: 1, ..settings() });
    for number in 1..=2 {
        assert_eq!(submits(&pool.handle(at(0), Look::Jobs(&[]), &ready(1))), 1);
        submit(&mut pool, at(0), number..=number);
        let orders = pool.handle(at(1), Look::Jobs(&[job(number, JobState::Ended(JobEnd::Failed))]), &ready(0));
        assert_eq!(orders, [BatchOrder::Forget { allocation: id(number), end: JobEnd::Failed }]);
    }
    let exclude = |orders: &[BatchOrder]| match orders {
        [BatchOrder::Submit { exclude }] => exclude.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(exclude(&pool.handle(at(2), Look::Jobs(&[]), &ready(1))), ["n9"]);
    assert_eq!(exclude(&pool.handle(at(3601), Look::Jobs(&[]), &ready(1))), Vec::<String>::new());
    // It has one more try, not two.
    submit(&mut pool, at(3601), 3..=3);
    let _ = pool.handle(at(3602), Look::Jobs(&[job(3, JobState::Ended(JobEnd::Failed))]), &ready(0));
    assert_eq!(exclude(&pool.handle(at(3603), Look::Jobs(&[]), &ready(1))), ["n9"]);
}

#[test]
fn where_all_nodes_are_avoided_the_next_try_avoids_none() {
    let mut pool = pool(BatchSettings { max: 1, ..settings() });
    for number in 1..=2 {
        submit(&mut pool, at(0), number..=number);
        let _ = pool.handle(at(1), Look::Jobs(&[job(number, JobState::Ended(JobEnd::Failed))]), &ready(0));
    }
    let orders = pool.handle(at(2), Look::Jobs(&[]), &ready(1));
    assert_eq!(orders, [BatchOrder::Submit { exclude: vec!["n9".to_owned()] }]);
    pool.intended(at(2), id(3));
    pool.refused(at(2), id(3), "requested node configuration is not available".to_owned());
    assert_eq!(pool.handle(at(3), Look::Jobs(&[]), &ready(1)), [BatchOrder::Submit { exclude: Vec::new() }]);
}

#[test]
fn five_early_ends_in_a_row_pause_the_pool_and_a_hello_begins_anew() {
    let mut pool = pool(BatchSettings { max: 1, ..settings() });
    let early = |pool: &mut BatchPool, number: u8| {
        submit(pool, at(0), number..=number);
        let failed = Job { node: None, ..job(number, JobState::Ended(JobEnd::Failed)) };
        let orders = pool.handle(at(1), Look::Jobs(&[failed]), &ready(0));
        orders.contains(&BatchOrder::Pause { allocation: id(number) })
    };
    assert!((1..=4).all(|number| !early(&mut pool, number)));
    submit(&mut pool, at(0), 5..=5);
    let _ = pool.handle(at(1), Look::Jobs(&[job(5, JobState::Running)]), &with_workers(ready(0), &[(5, true)]));
    let _ = pool.handle(at(2), Look::Jobs(&[job(5, JobState::Ended(JobEnd::Failed))]), &ready(0));
    assert!((6..=9).all(|number| !early(&mut pool, number)), "a hello came between");
    assert!(early(&mut pool, 10));
    assert_eq!(pool.mode(), Mode::Paused);
    assert_eq!(pool.handle(at(2), Look::Jobs(&[]), &ready(3)), []);
    assert_eq!(pool.why_idle(at(2), &ready(3)), Some(Idle::Paused));
    pool.set_mode(Mode::Active);
    assert_eq!(submits(&pool.handle(at(3), Look::Jobs(&[]), &ready(3))), 1);
}

#[test]
fn what_slurm_stopped_counts_for_nothing_and_neither_does_a_long_or_useful_life() {
    let mut pool = pool(BatchSettings { max: 1, ..settings() });
    for number in 1..=20 {
        submit(&mut pool, at(0), number..=number);
        let stopped = job(number, JobState::Ended(JobEnd::Stopped));
        let long = Job { used: BatchSettings::EARLY, ..job(number, JobState::Ended(JobEnd::Failed)) };
        let jobs = [if number % 2 == 0 { stopped } else { long }];
        let orders = pool.handle(at(1), Look::Jobs(&jobs), &ready(0));
        assert_eq!(orders.len(), 1, "{orders:?}");
    }
    // A requeued job is the same allocation.
    submit(&mut pool, at(0), 21..=21);
    let _ = pool.handle(at(1), Look::Jobs(&[job(21, JobState::Running)]), &ready(1));
    assert_eq!(pool.handle(at(2), Look::Jobs(&[job(21, JobState::Pending)]), &ready(1)), []);
    assert_eq!(pool.nodes().avoided(at(3)).count(), 0);
}

#[test]
fn a_job_that_slurm_holds_back_after_a_failed_launch_is_cancelled_and_counts() {
    let mut pool = pool(BatchSettings { max: 1, ..settings() });
    for number in 1..=5 {
        submit(&mut pool, at(0), number..=number);
        let orders = pool.handle(at(1), Look::Jobs(&[job(number, JobState::Held)]), &ready(1));
        assert!(orders.contains(&BatchOrder::Cancel { job: JobId(number.into()) }), "{orders:?}");
        let orders = pool.handle(at(2), Look::Jobs(&[job(number, JobState::Held)]), &ready(1));
        assert_eq!(orders, [], "once");
        let _ = pool.handle(at(3), Look::Jobs(&[job(number, JobState::Ended(JobEnd::Stopped))]), &ready(0));
    }
    assert_eq!(pool.mode(), Mode::Paused);
}

#[test]
fn idle_workers_go_and_jobs_that_nothing_needs_are_cancelled_while_they_wait() {
    let mut pool = pool(BatchSettings { min: 1, ..settings() });
    submit(&mut pool, at(0), 1..=4);
    let jobs =
        [job(1, JobState::Running), job(2, JobState::Running), job(3, JobState::Pending), job(4, JobState::Pending)];
    let load = with_workers(ready(0), &[(1, true), (2, false)]);
    assert_eq!(pool.handle(at(1), Look::Jobs(&jobs), &load), []);
    assert_eq!(pool.handle(at(300), Look::Jobs(&jobs), &load), []);
    let orders = pool.handle(at(301), Look::Jobs(&jobs), &load);
    assert_eq!(
        orders,
        [
            BatchOrder::Cancel { job: JobId(4) },
            BatchOrder::Cancel { job: JobId(3) },
            BatchOrder::Dismiss { worker: WorkerId::from_bytes([2; 8]) },
        ]
    );
    assert_eq!(pool.handle(at(302), Look::Jobs(&jobs), &load), [], "once each");
    // The minimum stays, idle or not.
    let last = with_workers(ready(0), &[(1, false)]);
    let ended = [jobs[0].clone(), job(2, JobState::Ended(JobEnd::Completed))];
    for second in [303, 1000, 5000] {
        let orders = pool.handle(at(second), Look::Jobs(&ended), &last);
        assert!(orders.iter().all(|order| matches!(order, BatchOrder::Forget { .. })), "{orders:?}");
    }
    pool.set_mode(Mode::Draining);
    let orders = pool.handle(at(5001), Look::Jobs(&ended[..1]), &last);
    assert_eq!(orders, [BatchOrder::Dismiss { worker: WorkerId::from_bytes([1; 8]) }]);
}

#[test]
fn a_worker_under_a_job_that_slurm_calls_pending_or_gone_stays() {
    let mut pool = pool(settings());
    submit(&mut pool, at(0), 1..=1);
    let load = with_workers(ready(0), &[(1, true)]);
    let _ = pool.handle(at(1), Look::Jobs(&[job(1, JobState::Running)]), &load);
    for second in [2, 1000] {
        assert_eq!(pool.handle(at(second), Look::Jobs(&[job(1, JobState::Pending)]), &load), []);
    }
    let _ = pool.handle(at(1001), Look::Jobs(&[]), &load);
    let orders = pool.handle(at(1002), Look::Jobs(&[]), &load);
    assert!(orders.iter().all(|order| !matches!(order, BatchOrder::Cancel { .. } | BatchOrder::Dismiss { .. })));
    // It had said hello, so nothing counts against its node.
    assert_eq!(pool.nodes().avoided(at(1002)).count(), 0);
}

#[test]
fn an_allocation_whose_time_is_over_soon_is_replaced_ahead_of_it() {
    let mut pool = pool(settings());
    submit(&mut pool, at(0), 1..=1);
    let load = with_workers(ready(0), &[(1, true)]);
    let running = |used, left| {
        let [used, left] = [used, left].map(Duration::from_secs);
        Job { used, left: Some(left), ..job(1, JobState::Running) }
    };
    assert_eq!(
        pool.handle(at(61), Look::Jobs(&[running(20, 40)]), &load),
        [],
        "a short limit does not count as an end"
    );
    assert_eq!(pool.handle(at(3480), Look::Jobs(&[running(3480, 120)]), &load), []);
    assert_eq!(submits(&pool.handle(at(3490), Look::Jobs(&[running(3490, 110)]), &load)), 1);
    submit(&mut pool, at(3490), 2..=2);
    assert_eq!(pool.handle(at(3500), Look::Jobs(&[running(3500, 100), job(2, JobState::Pending)]), &load), []);
}

#[test]
fn stages_too_large_for_the_pools_workers_bring_no_allocation() {
    let mut pool = pool(settings());
    submit(&mut pool, at(0), 1..=1);
    let large = Load { ready: [(1 << 40, 3)].into(), ..with_workers(ready(0), &[(1, false)]) };
    let _ = pool.handle(at(1), Look::Jobs(&[job(1, JobState::Running)]), &large);
    let _ = pool.handle(at(2), Look::Jobs(&[job(1, JobState::Ended(JobEnd::Completed))]), &Load::default());
    assert_eq!(submits(&pool.handle(at(3), Look::Jobs(&[]), &large)), 0);
    assert_eq!(pool.why_idle(at(3), &large), Some(Idle::TooLarge));
}

#[test]
fn refused_submissions_wait_longer_each_time() {
    let mut pool = pool(BatchSettings { max: 1, ..settings() });
    let mut now = 0;
    for wait in [30, 60, 120, 240] {
        assert_eq!(submits(&pool.handle(at(now), Look::Jobs(&[]), &ready(1))), 1, "at {now}");
        pool.intended(at(now), id(1));
        pool.refused(at(now), id(1), "invalid account".to_owned());
        assert_eq!(submits(&pool.handle(at(now + wait - 1), Look::Jobs(&[]), &ready(1))), 0);
        let why = Idle::Refused { seconds: wait, why: "invalid account".to_owned() };
        assert_eq!(pool.why_idle(at(now), &ready(1)), Some(why));
        now += wait;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is lost, whenever the caller crashes: never more jobs than the maximum, never two for one intent, and none left
    /// after the work is done.
    #[test]
    fn whatever_is_lost_the_pool_keeps_its_bounds_and_ends_empty(actions in prop::collection::vec(action(), 1..80)) {
        let mut world = World::new();
        for action in actions {
            world.act(&action);
            world.check();
        }
        world.come_to_rest();
    }
}

#[test]
fn the_world_does_submit_and_crash() {
    let mut world = World::new();
    let script = [
        Action::Work(4),
        Action::Look,
        Action::LoseAnswers(true),
        Action::Look,
        Action::Crash,
        Action::Look,
        Action::LoseAnswers(false),
        Action::Start,
        Action::Look,
    ];
    for action in &script {
        world.act(action);
        world.check();
    }
    assert!(world.submitted() > 1, "{}", world.submitted());
    world.come_to_rest();
}
