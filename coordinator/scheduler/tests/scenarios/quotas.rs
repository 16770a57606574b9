//! What is collected to keep quotas.

use scheduler::quota::{Excess, StoredCheckpoint};
use vocabulary::StageKey;

use crate::scenario::Scenario;
use crate::support::{campaign, plan};

/// A campaign with a quota of 250 bytes, whose trunk has checkpoints of 100 bytes at these steps, the later ones younger.
fn with_checkpoints(steps: &[u64]) -> (Scenario, Vec<StoredCheckpoint>) {
    let mut limited = plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]);
    limited.checkpoints.quota_bytes = Some(250);
    let mut story = Scenario::with_one_worker(&limited);
    for step in steps {
        story.checkpoint("w1", "trunk#1", *step);
        story.expect(&[format!("checkpoint of trunk#1 at {step}")]);
    }
    let stage = story.stage("trunk");
    let stored = |step: &u64| StoredCheckpoint { stage, step: *step, bytes: 100, committed_at_ms: 1000 + *step };
    (story, steps.iter().map(stored).collect())
}

fn excess(story: &Scenario, stored: &[StoredCheckpoint]) -> Option<Excess> {
    let of = |stage: StageKey| stored.iter().filter(move |it| it.stage == stage).copied().collect::<Vec<_>>();
    story.scheduler.ledger().excess(&campaign("c"), of)
}

#[test]
fn the_oldest_that_nothing_needs_go_until_the_rest_fits() {
    let (mut story, stored) = with_checkpoints(&[20, 40, 60, 80]);
    assert_eq!(story.scheduler.ledger().with_quota(&story.stage("trunk")), [campaign("c")]);
    let trunk = story.stage("trunk");
    let collect = vec![(trunk, 20), (trunk, 40)];
    let expected = Excess { quota_bytes: 250, used_bytes: 400, collect, left_bytes: 200 };
    assert_eq!(excess(&story, &stored), Some(expected));
    story.collect(&[("trunk", 20), ("trunk", 40)]);
    story.expect(&[
        "removed the checkpoint of trunk at 20: collected",
        "removed the checkpoint of trunk at 40: collected",
    ]);
    assert_eq!(excess(&story, &stored[2..]), None);
}

#[test]
fn what_is_needed_stays_although_it_takes_more_than_the_quota() {
    let (story, mut stored) = with_checkpoints(&[20, 40]);
    stored[1].bytes = 1000;
    let expected =
        Excess { quota_bytes: 250, used_bytes: 1100, collect: vec![(story.stage("trunk"), 20)], left_bytes: 1000 };
    assert_eq!(excess(&story, &stored), Some(expected));
}

#[test]
fn a_campaign_without_a_quota_is_left_alone() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100)]));
    story.checkpoint("w1", "trunk#1", 40);
    story.take();
    let stage = story.stage("trunk");
    assert_eq!(story.scheduler.ledger().with_quota(&stage), []);
    let huge = StoredCheckpoint { stage, step: 40, bytes: u64::MAX, committed_at_ms: 0 };
    assert_eq!(excess(&story, &[huge]), None);
}
