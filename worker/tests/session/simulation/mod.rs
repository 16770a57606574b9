//! A session in a bad world: connections that break at any moment, acknowledgements and orders that are lost with them,
//! assignments that come twice, attempts that are revoked or refused at any point of their life, storage that fails, and
//! little room.
//!
//! The coordinator of this world takes each number once. After every step all invariants are checked; when the bad times
//! are over, everything that was said has to have arrived. A failure prints the shortest history that leads to it.

mod coordinator;
mod perform;
mod process;
mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use process::Progress;
use world::{Step, World};

fn step() -> impl Strategy<Value = Step> {
    let progress = prop_oneof![
        8 => Just(Progress::Step),
        3 => Just(Progress::Checkpoint),
        1 => Just(Progress::Diverge),
        1 => Just(Progress::Fail),
    ];
    prop_oneof![
        4 => Just(Step::Connect),
        2 => Just(Step::Disconnect),
        12 => any::<bool>().prop_map(|acknowledged| Step::Hear { acknowledged }),
        12 => Just(Step::Obey),
        4 => Just(Step::Assign),
        1 => Just(Step::AssignAgain),
        1 => Just(Step::Revoke),
        1 => Just(Step::Recall),
        1 => any::<prop::sample::Index>().prop_map(Step::RevokeAny),
        1 => any::<prop::sample::Index>().prop_map(Step::RefuseAny),
        6 => prop::bool::weighted(0.9).prop_map(|succeeds| Step::Prepare { succeeds }),
        20 => progress.prop_map(Step::Train),
        20 => Just(Step::Report),
        6 => prop::bool::weighted(0.8).prop_map(|succeeds| Step::Store { succeeds }),
        1 => Just(Step::Heartbeat),
    ]
}

fn play(steps: &[Step], leaves_after: Option<usize>) -> Result<World, TestCaseError> {
    let mut world = World::new();
    let mut outcome = Ok(());
    for (index, step) in steps.iter().enumerate() {
        if leaves_after == Some(index) {
            outcome = outcome.and_then(|()| world.act(&Step::Leave));
        }
        outcome = outcome.and_then(|()| world.act(step));
    }
    match outcome.and_then(|()| world.recover()) {
        Ok(()) => Ok(world),
        Err(violation) => {
            Err(TestCaseError::fail(format!("{violation}\nwhat happened:\n  {}", world.history.join("\n  "))))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_invariants_hold_and_everything_arrives(
        steps in prop::collection::vec(step(), 1..300),
        leaves_after in prop::option::weighted(0.3, 0_usize..300),
    ) {
        play(&steps, leaves_after)?;
    }
}

/// The simulation is of use only if it gets somewhere: in an undisturbed world a stage is completed.
#[test]
fn an_undisturbed_world_completes_what_it_is_given() {
    let world = play(&[Step::Connect, Step::Hear { acknowledged: true }, Step::Obey, Step::Assign], None);
    assert_eq!(world.unwrap_or_else(|violation| panic!("{violation}")).completed(), 1);
}
