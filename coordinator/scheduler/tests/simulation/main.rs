//! The scheduler in a bad world: processes that crash, connections that break, reports that come late, twice, or after
//! those of a later connection, a coordinator that is killed before or after it committed, or stopped for an hour.
//!
//! After every event all invariants are checked; each is a function named as a sentence, in `invariants`. When the bad
//! times are over, every campaign has to come to its end, and nobody may train what is over.
//!
//! A failure is made as short as it can be, saved, and the message says how to play it again. What failed once is in
//! `regressions`, and is played each time.
//!
//! `docs/experiments.md` tells which invariant catches which mistake: each was made on purpose once.

#[path = "../support/mod.rs"]
mod support;

mod action;
mod black_hole;
mod desk;
mod invariants;
mod process;
mod replay;
mod world;

use std::path::PathBuf;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use action::{Action, SLOTS};
use scheduler::CampaignPhase;
use world::World;

/// Histories at each run of the tests.
const CASES: u32 = 10_000;

fn play(actions: &[Action]) -> Result<(), String> {
    let mut world = World::new(SLOTS);
    let outcome = actions.iter().try_for_each(|action| world.act(action)).and_then(|()| world.recover());
    outcome.map_err(|violation| format!("{violation}\nwhat happened:\n  {}", world.history.join("\n  ")))
}

#[test]
fn whatever_happens_the_invariants_hold_and_every_campaign_ends() {
    if let Some(file) = std::env::var_os(replay::REPLAY).map(PathBuf::from) {
        return play(&replay::load(&file)).unwrap_or_else(|violation| panic!("{violation}"));
    }
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let outcome =
        TestRunner::new(config).run(&action::actions(), |actions| play(&actions).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(violation, actions)) => panic!("{violation}\n{}", replay::save(&actions)),
        Err(abort) => panic!("{abort}"),
    }
}

#[test]
fn a_worker_that_fails_everything_costs_nothing_that_others_could_train() {
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let histories = (black_hole::fates(), 1_usize..6);
    let outcome = TestRunner::new(config)
        .run(&histories, |(fates, pace)| black_hole::play(&fates, pace).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(violation, history)) => panic!("{violation}\n{history:?}"),
        Err(abort) => panic!("{abort}"),
    }
}

#[test]
fn what_failed_once_does_not_fail_again() {
    for file in replay::regressions() {
        play(&replay::load(&file)).unwrap_or_else(|violation| panic!("{}: {violation}", file.display()));
    }
}

/// What campaigns grow by is trained once, too, and nothing of what was there before is trained again.
#[test]
fn in_an_undisturbed_world_campaigns_that_have_ended_grow_by_what_is_new_alone() {
    let mut world = World::new(SLOTS);
    let outcome = (0..world::CAMPAIGNS).map(Action::Submit).try_for_each(|action| world.act(&action));
    outcome.and_then(|()| world.recover()).unwrap_or_else(|violation| panic!("{violation}"));
    let before = world.scheduler().ledger().stage_count();
    let outcome = (0..world::GROWTHS).map(Action::Grow).try_for_each(|action| world.act(&action));
    assert!(world.scheduler().campaigns().all(|campaign| campaign.phase == CampaignPhase::Open));
    outcome.and_then(|()| world.recover()).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(world.scheduler().ledger().stage_count() > before);
    for (work, state) in world.scheduler().ledger().nodes() {
        assert_eq!(state.name(), "completed", "{work:?}");
        assert_eq!(world.scheduler().stage_status(&work.key()).map(|status| status.attempts), Some(1), "{work:?}");
    }
}

/// The simulation is of use only if it gets somewhere: in an undisturbed world all that is asked for is trained, once.
#[test]
fn an_undisturbed_world_trains_every_stage_in_one_attempt() {
    let mut world = World::new(SLOTS);
    let mut submissions = (0..world::CAMPAIGNS).map(Action::Submit);
    let outcome = submissions.try_for_each(|action| world.act(&action));
    outcome.and_then(|()| world.recover()).unwrap_or_else(|violation| panic!("{violation}"));
    for (work, state) in world.scheduler().ledger().nodes() {
        assert_eq!(state.name(), "completed", "{work:?}");
        assert_eq!(world.scheduler().stage_status(&work.key()).map(|status| status.attempts), Some(1), "{work:?}");
    }
}
