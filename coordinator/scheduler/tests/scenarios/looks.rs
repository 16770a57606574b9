//! What people may ask, and what it costs: counted, not timed.

use scheduler::{Event, Scheduler, Timestamp, WaitReason};
use vocabulary::{Abilities, Plan};

use crate::scenario::{Scenario, settings};
use crate::support::{campaign, plan, worker};

/// So many roots, each of its own length, the longest last.
fn forest(stages: usize) -> Plan {
    let names: Vec<String> = (0..stages).map(|number| format!("r{number}")).collect();
    let lines: Vec<_> = names.iter().zip(1..).map(|(name, steps)| (name.as_str(), "", steps)).collect();
    plan("c", &lines)
}

#[test]
fn the_places_of_all_stages_in_the_queue_are_found_in_one_walk_over_it() {
    let mut costs = Vec::new();
    for stages in [100, 200] {
        let mut story = Scenario::new();
        let plan = forest(stages);
        story.submit(&plan);
        story.take();
        story.join("w1", &[]);
        story.take();
        let waits = story.scheduler.waits();
        let places: Vec<_> = plan.stages.iter().filter_map(|stage| waits.explain(&stage.key)).collect();
        // The longest one runs.
        let expected = (0..stages - 1).rev().map(|ahead| WaitReason::WorkersBusy { ahead });
        assert!(places.iter().cloned().eq(expected), "{places:?}");
        costs.push(waits.looked_at());
    }
    assert_eq!(costs, [100, 200], "a worker once, and each place in the queue once");
}

#[test]
fn a_copy_shares_everything_and_a_fact_copies_little_of_it() {
    for stages in [100, 2000] {
        let mut scheduler = Scheduler::new(settings());
        let _ = scheduler.handle(Timestamp(0), Event::CampaignSubmitted { plan: forest(stages) });
        let copy = scheduler.clone();
        assert_eq!(scheduler.ledger().parts_of_its_own(copy.ledger()), 0);
        let joined = Event::WorkerJoined {
            worker: worker("w1"),
            name: "w1".to_owned(),
            memory_bytes: None,
            can: Abilities::default(),
            running: Vec::new(),
            holds: Vec::new(),
            unfit: None,
        };
        let _ = scheduler.handle(Timestamp(1), joined);
        assert_eq!(scheduler.running().count(), 1, "it was given something");
        assert_eq!(copy.running().count(), 0, "the copy is as it was");
        assert_eq!(scheduler.ledger().parts_of_its_own(copy.ledger()), 1, "one stage of {stages} changed");
        assert!(scheduler.version(&campaign("c")) > copy.version(&campaign("c")));
    }
}
