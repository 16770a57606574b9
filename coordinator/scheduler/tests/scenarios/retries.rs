//! Three counts, three limits, and a person who asks for another try. The limits are 1 (not started), 3 (preempted) and
//! 2 (failed).

use scheduler::{Counts, RetryCount, StageCounts, StageState, TrialCounts};

use crate::scenario::Scenario;
use crate::support::{campaign, plan};

fn tree() -> vocabulary::Plan {
    plan("c", &[("trunk", "", 100), ("short", "trunk", 10), ("shorter", "short", 5)])
}

/// Fails the running attempt on w1; the next one is due after `wait` seconds and not before.
fn fail_and_wait(story: &mut Scenario, number: u32, started: bool, wait: u64) {
    let words = if started { "failed" } else { "could not start" };
    story.fail("w1", &format!("trunk#{number}"), started);
    story.expect(&[format!("ended trunk#{number}: {words}: disk full")]);
    assert!(story.stage_is("trunk").starts_with("its last attempt failed"), "{}", story.stage_is("trunk"));
    story.wait(wait - 1);
    story.expect_nothing();
    story.wait(1);
    let next = number + 1;
    story.expect(&[format!("started trunk#{next} on w1"), format!("assign trunk#{next} to w1 from initial weights")]);
}

fn given_up_after_failures() -> Scenario {
    let mut story = Scenario::with_one_worker(&tree());
    fail_and_wait(&mut story, 1, true, 1);
    fail_and_wait(&mut story, 2, true, 2);
    story.fail("w1", "trunk#3", true);
    story.expect(&["ended trunk#3: failed: disk full", "gave up trunk: failed", "c is over"]);
    story
}

#[test]
fn errors_are_tried_again_up_to_their_limit() {
    let story = given_up_after_failures();
    assert_eq!(story.state("trunk"), StageState::Failed { limit: RetryCount::Failed });
    assert_eq!((story.stage_is("short"), story.stage_is("shorter")), ("not run".to_owned(), "not run".to_owned()));
    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!(status.stages, StageCounts { failed: 1, not_run: 2, ..StageCounts::default() });
    assert_eq!(status.trials, TrialCounts { failed: 1, ..TrialCounts::default() });
}

#[test]
fn attempts_that_never_begin_are_limited_apart() {
    let mut story = Scenario::with_one_worker(&tree());
    fail_and_wait(&mut story, 1, true, 1);
    fail_and_wait(&mut story, 2, false, 1);
    story.leave("w1");
    story.expect(&["ended trunk#3: worker process ended before it began", "gave up trunk: not started", "c is over"]);
    assert_eq!(story.status("trunk").counts, Counts { not_started: 2, preempted: 0, failed: 1 });
}

#[test]
fn preemptions_are_limited_apart_and_do_not_wait() {
    let mut story = Scenario::with_one_worker(&tree());
    fail_and_wait(&mut story, 1, true, 1);
    for number in 2..5 {
        story.heartbeat("w1", &[&format!("trunk#{number}")]);
        story.expect_nothing();
        story.join("w1", &[]);
        let next = number + 1;
        story.expect(&[
            format!("ended trunk#{number}: worker came back without it"),
            format!("started trunk#{next} on w1"),
            format!("assign trunk#{next} to w1 from initial weights"),
        ]);
    }
    story.release("w1", "trunk#5");
    story.expect(&["ended trunk#5: handed back by its worker", "gave up trunk: preempted", "c is over"]);
}

#[test]
fn progress_forgives_preemptions_and_false_starts_and_not_failures() {
    let mut story = Scenario::with_one_worker(&tree());
    fail_and_wait(&mut story, 1, true, 1);
    fail_and_wait(&mut story, 2, false, 1);
    story.heartbeat("w1", &["trunk#3"]);
    story.expect_nothing();
    story.join("w1", &[]);
    story.expect(&[
        "ended trunk#3: worker came back without it",
        "started trunk#4 on w1",
        "assign trunk#4 to w1 from initial weights",
    ]);
    assert_eq!(story.status("trunk").counts, Counts { not_started: 1, preempted: 1, failed: 1 });
    story.checkpoint("w1", "trunk#4", 10);
    story.expect(&["checkpoint of trunk#4 at 10"]);
    assert_eq!(story.status("trunk").counts, Counts { not_started: 0, preempted: 0, failed: 1 });
}

#[test]
fn a_stage_given_up_and_all_below_it_can_be_tried_again() {
    let mut story = given_up_after_failures();
    story.submit(&tree());
    story.expect(&["c is over"]);
    story.retry("c");
    story.expect(&["retried trunk", "started trunk#4 on w1", "assign trunk#4 to w1 from initial weights"]);
    assert_eq!(story.status("trunk").counts, Counts::default());
    assert_eq!(story.status("short").state, StageState::Waiting);

    for (attempt, step, next) in
        [("trunk#4", 100, Some("short#1")), ("short#1", 110, Some("shorter#1")), ("shorter#1", 115, None)]
    {
        story.checkpoint("w1", attempt, step);
        story.expect(&[format!("checkpoint of {attempt} at {step}")]);
        story.complete("w1", attempt);
        let label = attempt.split('#').next().unwrap_or_default();
        story.expect(&match next {
            Some(next) => vec![
                format!("completed {attempt}"),
                format!("started {next} on w1"),
                format!("assign {next} to w1 from {label}"),
            ],
            None => vec![format!("completed {attempt}"), "c is over".to_owned()],
        });
    }
}

/// Broken hardware makes NaN losses, too.
#[test]
fn a_stage_that_diverged_is_tried_again_only_if_somebody_says_so() {
    let mut story = Scenario::with_one_worker(&tree());
    story.diverge("w1", "trunk#1", 40, f64::NAN);
    story.expect(&["diverged trunk#1 at 40 with None", "c is over"]);
    assert_eq!(story.stage_is("shorter"), "not run");
    story.retry("c");
    story.expect_nothing();
    story.retry_diverged("c");
    story.expect(&["retried trunk", "started trunk#2 on w1", "assign trunk#2 to w1 from initial weights"]);
    assert_eq!(story.status("shorter").state, StageState::Waiting);
    assert_eq!(story.phase("c"), scheduler::CampaignPhase::Open);
    story.restart();
    story.join("w1", &["trunk#2"]);
    story.expect_nothing();
    // What the attempt that diverged says again changes nothing.
    story.diverge("w1", "trunk#1", 40, f64::NAN);
    story.expect(&["refuse trunk#1 to w1"]);
    story.checkpoint("w1", "trunk#2", 100);
    story.expect(&["checkpoint of trunk#2 at 100"]);
    story.complete("w1", "trunk#2");
    story.expect(&["completed trunk#2", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke short#1 on w1", "c is over"]);
    story.confirm("w1", "short#1");
    story.expect(&["ended short#1: no longer needed"]);
    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!(status.stages, StageCounts { completed: 1, not_run: 2, ..StageCounts::default() });
    story.retry_diverged("c");
    story.expect_nothing();
}

#[test]
fn a_retry_survives_a_restart() {
    let mut story = given_up_after_failures();
    story.leave("w1");
    story.expect_nothing();
    story.retry("c");
    story.expect(&["retried trunk"]);
    story.restart();
    story.join("w2", &[]);
    story.expect(&["started trunk#4 on w2", "assign trunk#4 to w2 from initial weights"]);
}

#[test]
fn stages_added_below_one_that_was_given_up_wait_for_its_retry() {
    let mut story = given_up_after_failures();
    story.submit(&plan("d", &[("trunk", "", 100), ("long", "trunk", 20)]));
    story.expect(&["accepted d", "d is over"]);
    assert_eq!(story.stage_is("long"), "not run");
    story.retry("d");
    story.expect(&["retried trunk", "started trunk#4 on w1", "assign trunk#4 to w1 from initial weights"]);
    assert!(story.stage_is("long").ends_with("which is running"));
}

#[test]
fn of_two_campaigns_that_want_a_stage_the_more_patient_one_counts() {
    let mut patient = plan("d", &[("trunk", "", 100), ("long", "trunk", 20)]);
    patient.retries.failed = 3;
    let mut story = Scenario::with_one_worker(&tree());
    story.submit(&patient);
    story.expect(&["accepted d"]);
    fail_and_wait(&mut story, 1, true, 1);
    fail_and_wait(&mut story, 2, true, 2);
    fail_and_wait(&mut story, 3, true, 4);
    story.fail("w1", "trunk#4", true);
    story.expect(&["ended trunk#4: failed: disk full", "gave up trunk: failed", "c is over", "d is over"]);
}

#[test]
fn the_patience_of_a_campaign_that_was_cancelled_does_not_count() {
    let mut patient = plan("d", &[("trunk", "", 100)]);
    patient.retries.failed = 1_000;
    let mut story = Scenario::with_one_worker(&tree());
    story.submit(&patient);
    story.expect(&["accepted d"]);
    story.cancel("d");
    story.expect(&["cancelled d", "d is over"]);
    fail_and_wait(&mut story, 1, true, 1);
    fail_and_wait(&mut story, 2, true, 2);
    story.fail("w1", "trunk#3", true);
    story.expect(&["ended trunk#3: failed: disk full", "gave up trunk: failed", "c is over"]);
}

#[test]
fn a_campaign_submitted_again_with_other_limits_has_those_and_no_stage_is_another() {
    let mut patient = tree();
    patient.retries.failed = 3;
    let mut story = Scenario::with_one_worker(&tree());
    story.submit(&patient);
    story.expect(&["c allows 3 failures"]);
    story.submit(&patient);
    story.expect_nothing();
    story.leave("w1");
    story.expect(&["ended trunk#1: worker process ended before it began"]);
    story.restart();
    story.join("w1", &[]);
    story.expect(&["started trunk#2 on w1", "assign trunk#2 to w1 from initial weights"]);
    fail_and_wait(&mut story, 2, true, 1);
    fail_and_wait(&mut story, 3, true, 2);
    fail_and_wait(&mut story, 4, true, 4);
    story.fail("w1", "trunk#5", true);
    story.expect(&["ended trunk#5: failed: disk full", "gave up trunk: failed", "c is over"]);
}
