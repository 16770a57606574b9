//! Leases that expire, and reports under attempts that are over.

use scheduler::{Slot, StageState, Standing, Timestamp};

use crate::scenario::Scenario;
use crate::support::{plan, worker};

fn whole() -> vocabulary::Plan {
    plan("c", &[("whole", "", 100)])
}

/// The lease of `whole#1` on w1 has expired, and w2 has the next attempt.
fn after_an_expired_lease() -> Scenario {
    let mut story = Scenario::with_one_worker(&whole());
    story.checkpoint("w1", "whole#1", 40);
    story.expect(&["checkpoint of whole#1 at 40"]);
    story.wait(29);
    story.expect_nothing();
    story.join("w2", &[]);
    story.expect_nothing();
    story.wait(1);
    story.expect(&[
        "forget w1",
        "ended whole#1: worker fell silent",
        "started whole#2 on w2",
        "assign whole#2 to w2 from step 40",
    ]);
    story
}

#[test]
fn a_silent_worker_loses_its_lease_and_the_next_one_goes_on_from_the_checkpoint() {
    let story = after_an_expired_lease();
    assert_eq!(story.status("whole").counts.preempted, 1);
    assert_eq!(story.status("whole").attempts, 2);
}

#[test]
fn heartbeats_and_reports_extend_the_lease() {
    let mut story = Scenario::with_one_worker(&whole());
    for step in 1..5 {
        story.wait(25);
        story.expect_nothing();
        story.heartbeat("w1", &["whole#1"]);
        story.expect_nothing();
        story.wait(25);
        story.expect_nothing();
        story.checkpoint("w1", "whole#1", step);
        story.expect(&[format!("checkpoint of whole#1 at {step}")]);
    }
    assert_eq!(story.status("whole").lease_until, Some(Timestamp(230_000)));
}

#[test]
fn time_in_which_the_coordinator_was_away_is_nobodys_silence() {
    let mut story = Scenario::with_one_worker(&whole());
    story.checkpoint("w1", "whole#1", 40);
    story.expect(&["checkpoint of whole#1 at 40"]);
    story.wait(20);
    story.expect_nothing();
    // The heartbeats of an hour are still on their way when it wakes up.
    story.be_away(3600);
    story.expect_nothing();
    story.wait(9);
    story.expect_nothing();
    story.heartbeat("w1", &["whole#1"]);
    story.expect_nothing();
    story.wait(29);
    story.expect_nothing();
    // A worker that says nothing to a coordinator that listens is gone all the same.
    story.wait(1);
    story.expect(&["forget w1", "ended whole#1: worker fell silent"]);
}

#[test]
fn a_coordinator_that_listens_comes_back_at_every_heartbeat() {
    let mut story = Scenario::with_one_worker(&whole());
    assert_eq!(story.scheduler.next_deadline(), Some(Timestamp(5_000)));
    story.wait(4);
    story.expect_nothing();
    story.heartbeat("w1", &["whole#1"]);
    story.expect_nothing();
    assert_eq!(story.scheduler.next_deadline(), Some(Timestamp(9_000)));
}

#[test]
fn reports_of_an_old_attempt_are_refused_and_change_nothing() {
    let mut story = after_an_expired_lease();
    let before = story.scheduler.ledger().clone();
    let key = story.attempt("whole#1");
    assert_eq!(story.scheduler.standing(worker("w1"), key), Standing::Stale);
    assert!(!story.scheduler.is_current(worker("w1"), key));

    story.checkpoint("w1", "whole#1", 60);
    story.expect(&["refuse whole#1 to w1"]);
    story.complete("w1", "whole#1");
    story.expect(&["refuse whole#1 to w1"]);
    story.diverge("w1", "whole#1", 60, 99.0);
    story.expect(&["refuse whole#1 to w1"]);
    story.fail("w1", "whole#1", true);
    story.expect(&["refuse whole#1 to w1"]);
    story.release("w1", "whole#1");
    story.expect(&["refuse whole#1 to w1"]);
    story.confirm("w1", "whole#1");
    story.expect_nothing();
    // Nor does another worker's word count, or a number that was never given out.
    story.checkpoint("w1", "whole#2", 60);
    story.expect(&["refuse whole#2 to w1"]);
    story.checkpoint("w2", "whole#7", 60);
    story.expect(&["refuse whole#7 to w2"]);
    assert_eq!(*story.scheduler.ledger(), before);
}

#[test]
fn a_worker_back_from_the_dead_drops_its_attempt_before_it_gets_another() {
    let mut story = after_an_expired_lease();
    story.submit(&plan("d", &[("other", "", 5)]));
    story.expect(&["accepted d"]);
    story.join("w1", &["whole#1"]);
    story.expect(&["refuse whole#1 to w1"]);
    story.heartbeat("w1", &["whole#1"]);
    story.expect_nothing();
    story.confirm("w1", "whole#1");
    story.expect(&["started other#1 on w1", "assign other#1 to w1 from initial weights"]);
}

#[test]
fn a_worker_that_lives_without_its_attempt_loses_it_and_is_free_when_it_confirms() {
    let mut story = Scenario::with_one_worker(&whole());
    for _ in 0..2 {
        story.wait(14);
        story.expect_nothing();
        story.heartbeat("w1", &[]);
        story.expect_nothing();
    }
    story.wait(2);
    story.expect(&["ended whole#1: worker never confirmed the assignment", "revoke whole#1 on w1"]);
    // The wait before the next attempt ends, and the slot is still taken.
    story.wait(2);
    story.expect_nothing();
    assert_eq!(story.stage_is("whole"), "queued, next in line");
    story.confirm("w1", "whole#1");
    story.expect(&["started whole#2 on w1", "assign whole#2 to w1 from initial weights"]);
}

#[test]
fn an_attempt_handed_back_goes_to_another_worker_at_once() {
    let mut story = Scenario::with_one_worker(&whole());
    story.checkpoint("w1", "whole#1", 40);
    story.expect(&["checkpoint of whole#1 at 40"]);
    story.release("w1", "whole#1");
    story.expect(&["ended whole#1: handed back by its worker"]);
    assert!(story.scheduler.workers().all(|known| known.slot == Slot::Leaving));
    story.join("w2", &[]);
    story.expect(&["started whole#2 on w2", "assign whole#2 to w2 from step 40"]);
    story.leave("w1");
    story.expect_nothing();
}

#[test]
fn a_checkpoint_beyond_the_stages_end_ends_the_attempt() {
    let mut story = Scenario::with_one_worker(&whole());
    story.checkpoint("w1", "whole#1", 101);
    story.expect(&[
        "ended whole#1: worker broke the protocol: it committed a checkpoint at step 101 of a stage that ends at 100",
        "refuse whole#1 to w1",
    ]);
    story.wait(1);
    story.expect_nothing();
    story.confirm("w1", "whole#1");
    story.expect(&["started whole#2 on w1", "assign whole#2 to w1 from initial weights"]);
}

#[test]
fn a_stage_is_not_done_without_its_last_checkpoint() {
    let mut story = Scenario::with_one_worker(&whole());
    story.checkpoint("w1", "whole#1", 99);
    story.expect(&["checkpoint of whole#1 at 99"]);
    story.complete("w1", "whole#1");
    story.expect(&[
        "ended whole#1: worker broke the protocol: it completed a stage without committing the checkpoint at step 100",
        "refuse whole#1 to w1",
    ]);
    assert_eq!(story.state("whole"), StageState::Waiting);
}
