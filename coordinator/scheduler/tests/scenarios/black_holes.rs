//! Workers that fail whatever they are given, and are therefore always free. None of them may cost a stage that another
//! worker could train. The limits are 1 (not started), 3 (preempted) and 2 (failed).

use scheduler::{Counts, RetryCount, StageState};
use vocabulary::{Abilities, NUMERICS_VERSION, Precision};

use crate::scenario::Scenario;
use crate::support::plan;

/// A worker `good` that trains `first`, and four more stages that are ready.
fn with_a_busy_worker() -> Scenario {
    let mut story = Scenario::new();
    story.join("good", &[]);
    story.expect_nothing();
    let lines = [("first", "", 90), ("second", "", 80), ("third", "", 70), ("fourth", "", 60), ("fifth", "", 50)];
    story.submit(&plan("c", &lines));
    story.expect(&["accepted c", "started first#1 on good", "assign first#1 to good from initial weights"]);
    story
}

/// Whoever is called `bad` fails three stages, and rests.
fn broken(story: &mut Scenario) {
    story.join("bad", &[]);
    story.expect(&["started second#1 on bad", "assign second#1 to bad from initial weights"]);
    for (failed, next) in [("second", "third"), ("third", "fourth")] {
        story.fail("bad", &format!("{failed}#1"), false);
        story.expect(&[
            format!("ended {failed}#1: could not start: disk full"),
            format!("started {next}#1 on bad"),
            format!("assign {next}#1 to bad from initial weights"),
        ]);
    }
    story.fail("bad", "fourth#1", false);
    story.expect(&["ended fourth#1: could not start: disk full, excused"]);
}

#[test]
fn a_worker_that_fails_different_stages_in_a_row_rests_and_its_word_counts_no_more() {
    let mut story = with_a_busy_worker();
    broken(&mut story);
    let bad = |story: &Scenario| story.scheduler.workers().find(|known| known.name == "bad").expect("it is there");
    let why = "3 or more stages in a row failed on it, the last: could not start: disk full";
    assert_eq!(bad(&story).held_back.as_deref(), Some(why));
    assert_eq!(bad(&story).rests_until.map(|until| until.0), Some(5_000));
    // The stages wait for the other one, and are not at fault.
    assert_eq!(story.stage_is("fifth"), "queued, second in line");
    assert_eq!(story.status("fourth").counts, Counts::default());
    let mut at = 0;
    for (number, rest) in [(2, 5), (3, 10), (4, 20), (5, 40), (6, 80)] {
        for _ in 0..(rest - 1) / 4 {
            story.heartbeat("bad", &[]);
            story.expect_nothing();
            story.heartbeat("good", &["first#1"]);
            story.expect_nothing();
            story.wait(4);
            story.expect_nothing();
        }
        story.wait(rest - 4 * ((rest - 1) / 4));
        at += rest;
        story.expect(&[
            format!("started second#{number} on bad"),
            format!("assign second#{number} to bad from initial weights"),
        ]);
        story.fail("bad", &format!("second#{number}"), false);
        story.expect(&[format!("ended second#{number}: could not start: disk full, excused")]);
        assert_eq!(bad(&story).rests_until.map(|until| until.0), Some((at + 2 * rest) * 1000));
    }
    assert_eq!(story.status("second").counts, Counts { not_started: 1, ..Counts::default() });
    story.checkpoint("good", "first#1", 90);
    story.expect(&["checkpoint of first#1 at 90"]);
    story.complete("good", "first#1");
    story.expect(&["completed first#1", "started second#7 on good", "assign second#7 to good from initial weights"]);
}

#[test]
fn a_process_in_the_place_of_a_broken_worker_rests_as_long_as_that_would_have() {
    let mut story = with_a_busy_worker();
    broken(&mut story);
    story.leave("bad");
    story.expect_nothing();
    story.wait(3);
    story.expect_nothing();
    story.join_in_place_of("next", "bad");
    story.expect_nothing();
    story.wait(1);
    story.expect_nothing();
    story.wait(1);
    story.expect(&["started second#2 on next", "assign second#2 to next from initial weights"]);
}

#[test]
fn a_checkpoint_ends_the_suspicion() {
    let mut story = with_a_busy_worker();
    broken(&mut story);
    story.wait(5);
    story.expect(&["started second#2 on bad", "assign second#2 to bad from initial weights"]);
    story.checkpoint("bad", "second#2", 10);
    story.expect(&["checkpoint of second#2 at 10"]);
    story.fail("bad", "second#2", true);
    // Its word counts again, and it continues at once.
    story.expect(&[
        "ended second#2: failed: disk full",
        "started third#2 on bad",
        "assign third#2 to bad from initial weights",
    ]);
}

#[test]
fn a_worker_that_is_started_ten_times_is_one_worker() {
    let mut story = Scenario::new();
    story.join("good", &[]);
    story.expect_nothing();
    story.submit(&plan("c", &[("first", "", 90), ("second", "", 80)]));
    story.expect(&["accepted c", "started first#1 on good", "assign first#1 to good from initial weights"]);
    for number in 1..=10_u64 {
        let process = format!("process {number}");
        story.join_in_place_of(&process, "slot");
        story.expect(&[
            format!("started second#{number} on {process}"),
            format!("assign second#{number} to {process} from initial weights"),
        ]);
        story.leave(&process);
        story.expect(&[format!("ended second#{number}: worker process ended before it began")]);
        story.heartbeat("good", &["first#1"]);
        story.expect_nothing();
        story.wait(4);
        story.expect_nothing();
    }
    assert_eq!(story.status("second").counts.not_started, 10);
    assert_eq!(story.state("second"), StageState::Waiting);
    // A restart of the coordinator forgets none of it.
    story.restart();
    story.join("good", &["first#1"]);
    story.expect_nothing();
    story.join_in_place_of("process 11", "slot");
    story.expect(&["started second#11 on process 11", "assign second#11 to process 11 from initial weights"]);
    story.leave("process 11");
    story.expect(&["ended second#11: worker process ended before it began"]);
}

#[test]
fn two_workers_that_fail_a_stage_give_it_up_and_one_does_where_there_is_no_other() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.join("w2", &[]);
    story.expect_nothing();
    story.fail("w1", "whole#1", false);
    story.expect(&["ended whole#1: could not start: disk full"]);
    story.wait(1);
    story.expect(&["started whole#2 on w2", "assign whole#2 to w2 from initial weights"]);
    story.fail("w2", "whole#2", false);
    story.expect(&["ended whole#2: could not start: disk full", "gave up whole: not started", "c is over"]);
    assert_eq!(story.state("whole"), StageState::Failed { limit: RetryCount::NotStarted });

    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.fail("w1", "whole#1", false);
    story.expect(&["ended whole#1: could not start: disk full"]);
    story.wait(1);
    story.expect(&["started whole#2 on w1", "assign whole#2 to w1 from initial weights"]);
    story.fail("w1", "whole#2", false);
    story.expect(&["ended whole#2: could not start: disk full", "gave up whole: not started", "c is over"]);
}

#[test]
fn errors_in_training_need_two_workers_too() {
    let mut story = Scenario::new();
    story.join("good", &[]);
    story.expect_nothing();
    story.submit(&plan("c", &[("first", "", 90), ("second", "", 80)]));
    story.expect(&["accepted c", "started first#1 on good", "assign first#1 to good from initial weights"]);
    story.join("bad", &[]);
    story.expect(&["started second#1 on bad", "assign second#1 to bad from initial weights"]);
    for (number, wait) in [(1, 1), (2, 2), (3, 4), (4, 4)] {
        story.fail("bad", &format!("second#{number}"), true);
        story.expect(&[format!("ended second#{number}: failed: disk full")]);
        story.wait(wait);
        let next = number + 1;
        story.expect(&[
            format!("started second#{next} on bad"),
            format!("assign second#{next} to bad from initial weights"),
        ]);
    }
    story.heartbeat("good", &["first#1"]);
    story.expect_nothing();
    story.checkpoint("good", "first#1", 90);
    story.expect(&["checkpoint of first#1 at 90"]);
    story.complete("good", "first#1");
    story.expect(&["completed first#1"]);
    story.fail("bad", "second#5", true);
    story.expect(&["ended second#5: failed: disk full"]);
    story.wait(4);
    story.expect(&["started second#6 on good", "assign second#6 to good from initial weights"]);
    story.fail("good", "second#6", true);
    story.expect(&["ended second#6: failed: disk full", "gave up second: failed", "c is over"]);
}

#[test]
fn an_evaluation_whose_worker_dies_before_a_heartbeat_is_not_given_up_either() {
    let mut story = Scenario::ended(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.submit(&plan("d", &[("long", "", 500)]));
    story.expect(&["accepted d", "started long#1 on w1", "assign long#1 to w1 from initial weights"]);
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news"]);
    for number in 1..=5 {
        let process = format!("process {number}");
        story.join_in_place_of(&process, "slot");
        story.expect(&[
            format!("started short/news#{number} on {process}"),
            format!("assign short/news#{number} to {process} from short"),
        ]);
        story.leave(&process);
        story.expect(&[format!("ended short/news#{number}: worker process ended before it began")]);
        story.wait(4);
        story.expect_nothing();
    }
    assert_eq!(story.state("short/news"), StageState::Waiting);
}

#[test]
fn work_goes_to_workers_that_can_do_it_and_says_what_it_needs_while_there_is_none() {
    let mut story = Scenario::new();
    let other = Abilities { numerics: Some(NUMERICS_VERSION + 1), ..Abilities::default() };
    story.join_able("newer", other);
    story.expect_nothing();
    story.submit(&plan("c", &[("first", "", 90)]));
    story.expect(&["accepted c"]);
    let (ours, theirs) = (NUMERICS_VERSION, NUMERICS_VERSION + 1);
    let needs = format!("needs a worker of numerics version {ours}, and the workers have {theirs}");
    assert_eq!(story.stage_is("first"), needs);
    let bf16 = Abilities { precisions: Some([Precision::Bf16].into()), ..Abilities::default() };
    story.join_able("half", bf16);
    story.expect_nothing();
    assert_eq!(story.stage_is("first"), format!("needs a worker that can train in fp32 with numerics version {ours}"));
    // One that says nothing of it is taken to have it.
    story.join("silent", &[]);
    story.expect(&["started first#1 on silent", "assign first#1 to silent from initial weights"]);
}

#[test]
fn a_campaign_of_an_older_arithmetic_says_so_and_uses_up_no_attempts() {
    let mut old = plan("c", &[("first", "", 90)]);
    old.stages[0].spec.numerics_version = NUMERICS_VERSION - 1;
    old.stages[0].key = old.stages[0].spec.key(None);
    old.trials[0].path = vec![old.stages[0].key];
    let mut story = Scenario::new();
    story.join_able("new", Abilities { numerics: Some(NUMERICS_VERSION), ..Abilities::default() });
    story.expect_nothing();
    story.submit(&old);
    story.expect(&["accepted c"]);
    let (planned, have) = (NUMERICS_VERSION - 1, NUMERICS_VERSION);
    assert_eq!(
        story.stage_is("first"),
        format!(
            "needs a worker of numerics version {planned}, and the workers have {have}: submit the recipe again to train it \
             with this version"
        )
    );
    assert_eq!(story.status("first").attempts, 0);
}

#[test]
fn an_unfit_worker_keeps_what_it_has_and_is_given_nothing_until_it_is_fit() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("first", "", 90), ("second", "", 80)]));
    story.is_unfit("w1", "it cannot write its storage");
    story.expect_nothing();
    story.checkpoint("w1", "first#1", 90);
    story.expect(&["checkpoint of first#1 at 90"]);
    story.complete("w1", "first#1");
    story.expect(&["completed first#1"]);
    assert_eq!(
        story.stage_is("second"),
        "all workers that could take it are held back; w1: it cannot write its storage"
    );
    let status = story.scheduler.workers().next().expect("it is there");
    assert_eq!(status.held_back.as_deref(), Some("it cannot write its storage"));
    story.is_fit("w1");
    story.expect(&["started second#1 on w1", "assign second#1 to w1 from initial weights"]);
}

#[test]
fn a_worker_that_stumbles_over_a_checkpoint_that_nobody_else_misses_rests_longer_each_time() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
    for (number, rest) in [(1, 1), (2, 2), (3, 4), (4, 4)] {
        story.cannot_start_for_no_reason("w1", &format!("short#{number}"), "trunk", 90);
        story.expect(&[format!("ended short#{number}: the checkpoint of trunk at 90 is of no use")]);
        story.wait(rest - 1);
        story.expect_nothing();
        story.wait(1);
        let next = number + 1;
        story.expect(&[format!("started short#{next} on w1"), format!("assign short#{next} to w1 from trunk")]);
    }
    assert_eq!(story.status("short").counts, Counts::default());
}

#[test]
fn what_a_worker_has_at_hand_is_what_it_said_last() {
    for (holder, other) in [("w2", "w3"), ("w3", "w2")] {
        let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
        story.checkpoint("w1", "trunk#1", 100);
        story.expect(&["checkpoint of trunk#1 at 100"]);
        story.complete("w1", "trunk#1");
        story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
        story.join_as(other, None, &[], &["trunk"]);
        story.expect_nothing();
        story.join(holder, &[]);
        story.expect_nothing();
        story.holds_now(other, &[], &[]);
        story.expect_nothing();
        story.holds_now(holder, &[], &["trunk", "short"]);
        story.expect_nothing();
        story.storage_fails("w1", "short#1");
        story.expect(&[
            "ended short#1: ended, because the storage failed: disk full".to_owned(),
            format!("started short#2 on {holder}"),
            format!("assign short#2 to {holder} from trunk"),
        ]);
    }
}

#[test]
fn a_divergence_at_a_step_that_the_stage_does_not_have_is_not_believed() {
    for step in [100, u64::MAX] {
        let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
        story.diverge("w1", "whole#1", step, f64::NAN);
        let reason = format!("it diverged at step {step}, which the stage does not have");
        story.expect(&[
            format!("ended whole#1: worker broke the protocol: {reason}"),
            "refuse whole#1 to w1".to_owned(),
        ]);
    }
}
