//! The scheduler in a bad world: processes that crash, connections that break, reports that come late or twice, and a
//! coordinator that is killed before or after it committed.
//!
//! After every event all invariants are checked. When the bad times are over, every campaign has to come to its end.
//! A failure prints the shortest history that leads to it.

#[path = "../support/mod.rs"]
mod support;

mod invariants;
mod process;
mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use world::{Action, World};

/// Workers that can be alive at a time.
const SLOTS: usize = 3;

fn action() -> impl Strategy<Value = Action> {
    let slot = || 0..SLOTS;
    let campaign = || 0..world::CAMPAIGNS;
    prop_oneof![
        2 => campaign().prop_map(Action::Submit),
        1 => campaign().prop_map(Action::Cancel),
        1 => campaign().prop_map(Action::Retry),
        4 => slot().prop_map(Action::Connect),
        2 => (slot(), any::<bool>()).prop_map(|(slot, noticed)| Action::Disconnect { slot, noticed }),
        2 => (slot(), any::<bool>()).prop_map(|(slot, noticed)| Action::Kill { slot, noticed }),
        12 => slot().prop_map(Action::Train),
        12 => slot().prop_map(Action::Obey),
        12 => (slot(), prop::bool::weighted(0.8)).prop_map(|(slot, acknowledged)| Action::Hear { slot, acknowledged }),
        4 => slot().prop_map(Action::Heartbeat),
        1 => slot().prop_map(Action::Diverge),
        1 => (slot(), any::<bool>()).prop_map(|(slot, started)| Action::Fail { slot, started }),
        1 => slot().prop_map(Action::Leave),
        2 => any::<prop::sample::Index>().prop_map(Action::HearAgain),
        3 => (1_u64..20).prop_map(Action::Wait),
        1 => (20_u64..70).prop_map(Action::Wait),
        1 => (slot(), any::<bool>()).prop_map(|(slot, committed)| Action::Crash { slot, committed }),
    ]
}

fn play(actions: &[Action]) -> Result<(), TestCaseError> {
    let mut world = World::new(SLOTS);
    let outcome = actions.iter().try_for_each(|action| world.act(action)).and_then(|()| world.recover());
    outcome.map_err(|violation| {
        TestCaseError::fail(format!("{violation}\nwhat happened:\n  {}", world.history.join("\n  ")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_every_campaign_ends(actions in prop::collection::vec(action(), 1..250)) {
        play(&actions)?;
    }
}

/// The simulation is of use only if it gets somewhere: in an undisturbed world all that is asked for is trained, once.
#[test]
fn an_undisturbed_world_trains_every_stage_in_one_attempt() {
    let mut world = World::new(SLOTS);
    let mut submissions = (0..world::CAMPAIGNS).map(Action::Submit);
    let outcome = submissions.try_for_each(|action| world.act(&action));
    outcome.and_then(|()| world.recover()).unwrap_or_else(|violation| panic!("{violation}"));
    for (stage, state) in world.scheduler().ledger().stages() {
        assert_eq!(state.name(), "completed", "{}", stage.size);
        assert_eq!(world.scheduler().stage_status(&stage.key).map(|status| status.attempts), Some(1), "{}", stage.size);
    }
}
