//! Connections that break, and coordinators that restart, under attempts that continue.

use scheduler::{Event, Slot};

use crate::scenario::Scenario;
use crate::support::plan;

fn trunk() -> vocabulary::Plan {
    plan("c", &[("trunk", "", 100), ("short", "trunk", 10)])
}

#[test]
fn a_worker_that_comes_back_with_its_attempt_goes_on() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.heartbeat("w1", &["trunk#1"]);
    story.expect_nothing();
    story.disconnect("w1");
    story.expect_nothing();
    story.wait(20);
    story.expect_nothing();
    story.join("w1", &["trunk#1"]);
    story.expect_nothing();
    story.wait(20);
    story.expect_nothing();
    story.checkpoint("w1", "trunk#1", 30);
    story.expect(&["checkpoint of trunk#1 at 30"]);
}

#[test]
fn an_order_that_never_arrived_is_given_again_under_the_same_attempt() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.disconnect("w1");
    story.expect_nothing();
    story.join("w1", &[]);
    story.expect(&["assign trunk#1 to w1 from initial weights"]);
}

#[test]
fn a_worker_that_comes_back_without_what_it_had_has_lost_it() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.heartbeat("w1", &["trunk#1"]);
    story.expect_nothing();
    story.join("w1", &[]);
    story.expect(&[
        "ended trunk#1: worker came back without it",
        "started trunk#2 on w1",
        "assign trunk#2 to w1 from initial weights",
    ]);
}

#[test]
fn an_attempt_outlives_the_coordinator() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.checkpoint("w1", "trunk#1", 30);
    story.expect(&["checkpoint of trunk#1 at 30"]);
    story.restart();
    // Others get nothing that may still be in somebody's hands.
    story.join("w2", &[]);
    story.expect_nothing();
    story.wait(50);
    story.expect(&["forget w2"]);
    story.join("w1", &["trunk#1"]);
    story.expect_nothing();
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
}

#[test]
fn an_attempt_nobody_comes_back_with_ends_when_the_grace_is_over_and_counts_as_preempted() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.checkpoint("w1", "trunk#1", 30);
    story.expect(&["checkpoint of trunk#1 at 30"]);
    story.restart();
    story.wait(50);
    story.expect_nothing();
    story.join("w2", &[]);
    story.expect_nothing();
    story.wait(10);
    story.expect(&["ended trunk#1: worker fell silent", "started trunk#2 on w2", "assign trunk#2 to w2 from step 30"]);
    assert_eq!((story.status("trunk").counts.preempted, story.status("trunk").counts.not_started), (1, 0));
}

#[test]
fn a_worker_known_to_be_gone_since_the_restart_is_not_waited_for() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.restart();
    story.join("w2", &[]);
    story.expect_nothing();
    story.leave("w1");
    story.expect(&[
        "ended trunk#1: worker process ended",
        "started trunk#2 on w2",
        "assign trunk#2 to w2 from initial weights",
    ]);
}

#[test]
fn an_assignment_lost_in_a_restart_is_given_again() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.restart();
    story.join("w1", &[]);
    story.expect(&["assign trunk#1 to w1 from initial weights"]);
    // From here on it is an attempt like any other.
    story.wait(30);
    story.expect(&["forget w1", "ended trunk#1: worker never confirmed the assignment"]);
}

#[test]
fn a_stage_cancelled_before_the_restart_is_taken_away_when_its_worker_comes_back() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    story.restart();
    story.join("w1", &["trunk#1"]);
    story.expect(&["revoke trunk#1 on w1"]);
    story.confirm("w1", "trunk#1");
    story.expect(&["ended trunk#1: no longer needed"]);
}

#[test]
fn a_revoked_attempt_that_is_gone_after_a_reconnect_needs_no_confirmation() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.submit(&plan("d", &[("other", "", 5)]));
    story.expect(&["accepted d"]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    story.join("w1", &[]);
    story.expect(&[
        "ended trunk#1: no longer needed",
        "started other#1 on w1",
        "assign other#1 to w1 from initial weights",
    ]);
}

#[test]
fn an_idle_worker_that_lost_its_connection_gets_no_work_until_it_is_back() {
    let mut story = Scenario::new();
    story.join("w1", &[]);
    story.expect_nothing();
    story.disconnect("w1");
    story.expect_nothing();
    story.submit(&trunk());
    story.expect(&["accepted c"]);
    assert_eq!(story.stage_is("trunk"), "there is no worker");
    story.join("w1", &[]);
    story.expect(&["started trunk#1 on w1", "assign trunk#1 to w1 from initial weights"]);
}

#[test]
fn an_idle_worker_that_falls_silent_is_forgotten_and_told_to_say_hello() {
    let mut story = Scenario::new();
    story.join("w1", &[]);
    story.expect_nothing();
    story.wait(30);
    story.expect(&["forget w1"]);
    assert_eq!(story.scheduler.workers().count(), 0);
    assert_eq!(story.scheduler.next_deadline(), None);
    story.heartbeat("w1", &[]);
    story.expect(&["close the session of w1"]);
}

#[test]
fn a_finished_report_still_in_the_spool_is_no_reason_to_wait() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
    // The acknowledgement and the order are both lost: the worker says again what it has, and then what it did.
    story.join("w1", &["trunk#1"]);
    story.expect(&["assign short#1 to w1 from trunk"]);
    story.complete("w1", "trunk#1");
    story.expect_nothing();
}

/// However often that happens, it is nobody's fault, and another worker gets the stage at once.
#[test]
fn an_assignment_that_crosses_the_goodbye_of_its_worker_counts_as_nothing() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("one", "", 100)]));
    for number in 1..=50 {
        let (worker, next) = (format!("w{number}"), format!("w{}", number + 1));
        story.join(&next, &[]);
        story.expect_nothing();
        story.leave_in_order(&worker);
        story.expect(&[
            format!("ended one#{number}: handed back by its worker, which was leaving"),
            format!("started one#{} on {next}", number + 1),
            format!("assign one#{} to {next} from initial weights", number + 1),
        ]);
    }
    // What its worker was heard to have is lost with it, in order or not.
    story.heartbeat("w51", &["one#51"]);
    story.expect_nothing();
    story.leave_in_order("w51");
    story.expect(&["ended one#51: worker process ended"]);
    // The log says the same again.
    story.restart();
    story.join("w52", &[]);
    story.expect(&["started one#52 on w52", "assign one#52 to w52 from initial weights"]);
}

#[test]
fn a_worker_with_several_attempts_to_drop_is_idle_once_all_are_dropped() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("one", "", 100), ("two", "", 90)]));
    story.leave("w1");
    story.expect(&["ended one#1: worker process ended before it began"]);
    story.join("w2", &["one#1", "two#1"]);
    let mut attempts = ["one#1", "two#1"];
    attempts.sort_by_key(|attempt| story.attempt(attempt));
    story.expect(&attempts.map(|attempt| format!("refuse {attempt} to w2")));
    story.heartbeat("w2", &["one#1", "two#1"]);
    story.expect_nothing();
    story.confirm("w2", attempts[0]);
    story.expect_nothing();
    assert!(story.scheduler.workers().all(|known| matches!(known.slot, Slot::Dropping(_))));
    story.confirm("w2", attempts[1]);
    story.expect(&["started two#1 on w2", "assign two#1 to w2 from initial weights"]);
}

#[test]
fn a_coordinator_that_is_about_to_stop_hands_out_nothing() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("one", "", 50), ("two", "", 40)]));
    story.take();
    story.join("w2", &[]);
    story.expect(&["started two#1 on w2", "assign two#1 to w2 from initial weights"]);
    story.handle(Event::DrainRequested);
    story.expect_nothing();
    story.release("w1", "one#1");
    story.expect(&["ended one#1: handed back by its worker"]);
    story.checkpoint("w2", "two#1", 40);
    story.expect(&["checkpoint of two#1 at 40"]);
    story.complete("w2", "two#1");
    story.expect(&["completed two#1"]);
    // The next one does.
    story.restart();
    story.join("w2", &[]);
    story.expect(&["started one#2 on w2", "assign one#2 to w2 from initial weights"]);
}

#[test]
fn an_order_that_never_arrived_is_not_given_to_a_worker_that_has_another_attempt_to_drop() {
    let mut story = Scenario::with_one_worker(&trunk());
    story.heartbeat("w1", &["trunk#1"]);
    story.expect_nothing();
    story.wait(30);
    story.expect(&["forget w1", "ended trunk#1: worker fell silent"]);
    // A hello from before it was given anything, which the network had kept back.
    story.join("w1", &[]);
    story.expect(&["started trunk#2 on w1", "assign trunk#2 to w1 from initial weights"]);
    // What it has is trunk#1, and trunk#2 went to the connection of that hello.
    story.join("w1", &["trunk#1"]);
    story.expect(&["refuse trunk#1 to w1", "ended trunk#2: no longer needed"]);
    story.confirm("w1", "trunk#1");
    story.expect(&["started trunk#3 on w1", "assign trunk#3 to w1 from initial weights"]);
}
