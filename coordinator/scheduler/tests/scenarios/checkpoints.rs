//! Checkpoints that are damaged, and storages that fail.

use scheduler::{Counts, Hold, StageState};
use vocabulary::Keep;

use crate::scenario::{Scenario, result};
use crate::support::plan;

fn trunk_and_branch() -> Scenario {
    Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]))
}

/// The trunk is trained with checkpoints at 40 and 100, and its branch is assigned.
fn at_the_branch() -> Scenario {
    let mut story = trunk_and_branch();
    story.checkpoint("w1", "trunk#1", 40);
    story.expect(&["checkpoint of trunk#1 at 40"]);
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
    story
}

#[test]
fn a_stage_goes_back_to_the_checkpoint_before_a_damaged_one() {
    let mut story = trunk_and_branch();
    for step in [40, 70] {
        story.checkpoint("w1", "trunk#1", step);
        story.expect(&[format!("checkpoint of trunk#1 at {step}")]);
    }
    story.fail("w1", "trunk#1", true);
    story.expect(&["ended trunk#1: failed: disk full"]);
    story.wait(1);
    story.expect(&["started trunk#2 on w1", "assign trunk#2 to w1 from step 70"]);
    let counts = story.status("trunk").counts;
    story.cannot_start("w1", "trunk#2", "trunk", 70);
    story.expect(&[
        "removed the checkpoint of trunk at 70: damaged",
        "ended trunk#2: the checkpoint of trunk at 70 is of no use",
        "started trunk#3 on w1",
        "assign trunk#3 to w1 from step 40",
    ]);
    assert_eq!(story.status("trunk").counts, counts, "it is on no count");
    story.cannot_start("w1", "trunk#3", "trunk", 40);
    story.expect(&[
        "removed the checkpoint of trunk at 40: damaged",
        "ended trunk#3: the checkpoint of trunk at 40 is of no use",
        "started trunk#4 on w1",
        "assign trunk#4 to w1 from initial weights",
    ]);
    // The steps are done again, and committed again.
    story.checkpoint("w1", "trunk#4", 40);
    story.expect(&["checkpoint of trunk#4 at 40"]);
}

#[test]
fn a_stage_whose_last_checkpoint_is_lost_is_trained_again_for_its_branch() {
    let mut story = at_the_branch();
    story.cannot_start("w1", "short#1", "trunk", 100);
    story.expect(&[
        "removed the checkpoint of trunk at 100: damaged",
        "ended short#1: the checkpoint of trunk at 100 is of no use",
        "reopened trunk",
        "started trunk#2 on w1",
        "assign trunk#2 to w1 from step 40",
    ]);
    assert_eq!(story.stage_is("short"), format!("starts from {}, which is running", story.stage("trunk").short()));
    assert_eq!(story.status("short").counts, Counts::default());
    story.checkpoint("w1", "trunk#2", 100);
    story.expect(&["checkpoint of trunk#2 at 100"]);
    story.complete("w1", "trunk#2");
    story.expect(&["completed trunk#2", "started short#2 on w1", "assign short#2 to w1 from trunk"]);
    // The report again, as after a broken connection.
    story.complete("w1", "trunk#2");
    story.expect_nothing();
}

#[test]
fn a_stage_that_comes_out_differently_keeps_its_first_result() {
    let mut story = at_the_branch();
    story.cannot_start("w1", "short#1", "trunk", 100);
    story.take();
    story.checkpoint("w1", "trunk#2", 100);
    story.take();
    story.complete_with("w1", "trunk#2", result(3.5));
    let ended = story.take();
    assert_eq!(ended[..2], ["trunk#2 came out differently", "completed trunk#2"]);
    let StageState::Completed { attempt, result: kept } = story.state("trunk") else { panic!("it is completed") };
    assert_eq!((attempt.0, kept), (2, result(3.0)));
}

#[test]
fn a_lost_checkpoint_that_nobody_starts_from_opens_nothing() {
    let mut story = at_the_branch();
    story.checkpoint("w1", "short#1", 110);
    story.expect(&["checkpoint of short#1 at 110"]);
    story.complete("w1", "short#1");
    story.expect(&["completed short#1", "c is over"]);
    story.damage("short", 110);
    story.expect(&["removed the checkpoint of short at 110: damaged"]);
    story.damage("trunk", 100);
    story.expect(&["removed the checkpoint of trunk at 100: damaged"]);
    story.damage("trunk", 100);
    story.expect_nothing();
    assert_eq!((story.stage_is("trunk"), story.stage_is("short")), ("completed".to_owned(), "completed".to_owned()));
    // Until somebody does.
    story.submit(&plan("d", &[("trunk", "", 100), ("other", "trunk", 20)]));
    story.expect(&["accepted d", "reopened trunk", "started trunk#2 on w1", "assign trunk#2 to w1 from step 40"]);
}

#[test]
fn a_branch_with_a_checkpoint_of_its_own_needs_its_trunk_no_more() {
    let mut story = at_the_branch();
    story.checkpoint("w1", "short#1", 105);
    story.expect(&["checkpoint of short#1 at 105"]);
    story.damage("trunk", 100);
    story.expect(&["removed the checkpoint of trunk at 100: damaged"]);
    story.leave("w1");
    story.expect(&["ended short#1: worker process ended"]);
    story.join("w2", &[]);
    story.expect(&["started short#2 on w2", "assign short#2 to w2 from step 105"]);
    // Its own is lost too.
    story.cannot_start("w2", "short#2", "short", 105);
    story.expect(&[
        "removed the checkpoint of short at 105: damaged",
        "ended short#2: the checkpoint of short at 105 is of no use",
        "reopened trunk",
        "started trunk#2 on w2",
        "assign trunk#2 to w2 from step 40",
    ]);
}

#[test]
fn all_that_is_lost_is_trained_again_from_the_root() {
    let mut story =
        Scenario::with_one_worker(&plan("c", &[("root", "", 10), ("trunk", "root", 10), ("leaf", "trunk", 10)]));
    for (label, attempt, step) in [("root", "root#1", 10), ("trunk", "trunk#1", 20)] {
        story.checkpoint("w1", attempt, step);
        story.take();
        story.complete("w1", attempt);
        story.take();
        story.damage(label, step);
        story.expect(&[format!("removed the checkpoint of {label} at {step}: damaged")]);
    }
    story.cannot_start("w1", "leaf#1", "trunk", 20);
    story.expect(&[
        "ended leaf#1: the checkpoint of trunk at 20 is of no use",
        "reopened trunk",
        "reopened root",
        "started root#2 on w1",
        "assign root#2 to w1 from initial weights",
    ]);
}

#[test]
fn a_stage_that_is_given_up_when_trained_again_takes_with_it_only_what_has_no_start() {
    let lines = [("trunk", "", 100), ("done", "trunk", 10), ("going", "trunk", 20), ("waiting", "trunk", 30)];
    let mut story = Scenario::with_one_worker(&plan("c", &lines));
    story.checkpoint("w1", "trunk#1", 100);
    story.take();
    story.complete("w1", "trunk#1");
    let assigned = story.take();
    assert_eq!(assigned[1], "started waiting#1 on w1", "the longest first");
    story.join("w2", &[]);
    story.expect(&["started going#1 on w2", "assign going#1 to w2 from trunk"]);
    story.join("w3", &[]);
    story.expect(&["started done#1 on w3", "assign done#1 to w3 from trunk"]);
    story.checkpoint("w3", "done#1", 110);
    story.take();
    story.complete("w3", "done#1");
    story.expect(&["completed done#1"]);

    story.cannot_start("w1", "waiting#1", "trunk", 100);
    let reopened = story.take();
    assert_eq!(reopened[2..4], ["reopened trunk", "started trunk#2 on w1"]);
    for (attempt, wait) in [(2, 1), (3, 2), (4, 0)] {
        let again = format!("trunk#{attempt}");
        let holder = ["w1", "w3"].into_iter().find(|name| story.holds(name, &again)).expect("somebody has it");
        story.fail(holder, &again, true);
        story.take();
        if wait > 0 {
            story.wait(wait);
            story.take();
        }
    }
    assert_eq!(
        ["trunk", "done", "going", "waiting"].map(|label| story.state(label).name()),
        ["failed", "completed", "running", "not run"]
    );
    // What goes on has no checkpoint yet. Without its worker it has nothing to start from.
    story.leave("w2");
    story.expect(&["ended going#1: worker process ended before it began", "c is over"]);
    assert_eq!(story.state("going").name(), "not run");
    story.retry("c");
    let retried = story.take();
    assert_eq!(retried[0], "retried trunk");
    assert_eq!(["going", "waiting"].map(|label| story.state(label).name()), ["waiting", "waiting"]);
}

#[test]
fn a_worker_that_the_storage_fails_rests_and_the_stage_is_not_blamed() {
    let mut story = trunk_and_branch();
    for (attempt, rest) in [(1, 1), (2, 2), (3, 4), (4, 4), (5, 4), (6, 4)] {
        story.storage_fails("w1", &format!("trunk#{attempt}"));
        story.expect(&[format!("ended trunk#{attempt}: ended, because the storage failed: disk full")]);
        assert_eq!(story.status("trunk").counts, Counts::default());
        assert_eq!(
            story.stage_is("trunk"),
            "all workers that could take it are held back; w1: the storage failed it: disk full"
        );
        story.wait(rest - 1);
        story.expect_nothing();
        story.wait(1);
        let next = attempt + 1;
        story.expect(&[
            format!("started trunk#{next} on w1"),
            format!("assign trunk#{next} to w1 from initial weights"),
        ]);
    }
    // Once it works, that is forgotten.
    story.checkpoint("w1", "trunk#7", 40);
    story.expect(&["checkpoint of trunk#7 at 40"]);
    story.storage_fails("w1", "trunk#7");
    story.expect(&["ended trunk#7: ended, because the storage failed: disk full"]);
    // Another one may take it at once.
    story.join("w2", &[]);
    story.expect(&["started trunk#8 on w2", "assign trunk#8 to w2 from step 40"]);
}

#[test]
fn the_first_checkpoint_that_is_not_there_ends_the_attempt_and_is_on_no_count() {
    let mut story = trunk_and_branch();
    for (attempt, rest) in [(1, 1), (2, 2), (3, 4)] {
        story.refuse_checkpoint("w1", &format!("trunk#{attempt}"), false);
        story.expect(&[
            format!("ended trunk#{attempt}: ended, because the storage failed: it is not there"),
            format!("refuse trunk#{attempt} to w1"),
        ]);
        assert_eq!(story.status("trunk").counts, Counts::default());
        // What it says of the attempt from now on changes nothing, and its slot is taken until it has stopped.
        story.complete("w1", &format!("trunk#{attempt}"));
        story.expect(&[format!("refuse trunk#{attempt} to w1")]);
        story.confirm("w1", &format!("trunk#{attempt}"));
        story.expect_nothing();
        assert_eq!(
            story.stage_is("trunk"),
            "all workers that could take it are held back; w1: the storage failed it: it is not there"
        );
        story.wait(rest);
        let next = attempt + 1;
        story.expect(&[
            format!("started trunk#{next} on w1"),
            format!("assign trunk#{next} to w1 from initial weights"),
        ]);
    }
    // A worker that takes longer to stop than it would rest is given the next stage at once.
    story.refuse_checkpoint("w1", "trunk#4", false);
    story.take();
    for _ in 0..10 {
        story.wait(1);
        story.heartbeat("w1", &[]);
    }
    story.expect_nothing();
    story.confirm("w1", "trunk#4");
    story.expect(&["started trunk#5 on w1", "assign trunk#5 to w1 from initial weights"]);
}

#[test]
fn a_checkpoint_that_cannot_be_is_the_workers_fault() {
    let mut story = trunk_and_branch();
    story.refuse_checkpoint("w1", "trunk#1", true);
    story.expect(&["ended trunk#1: worker broke the protocol: it is not there", "refuse trunk#1 to w1"]);
    assert_eq!(story.status("trunk").counts.failed, 1);
}

#[test]
fn what_an_old_attempt_could_not_start_from_ends_no_other() {
    let mut story = trunk_and_branch();
    story.leave("w1");
    story.expect(&["ended trunk#1: worker process ended before it began"]);
    story.join("w2", &[]);
    story.expect_nothing();
    story.wait(1);
    story.expect(&["started trunk#2 on w2", "assign trunk#2 to w2 from initial weights"]);
    story.cannot_start("w1", "trunk#1", "trunk", 40);
    story.expect(&["refuse trunk#1 to w1"]);
    story.storage_fails("w1", "trunk#1");
    story.expect(&["refuse trunk#1 to w1"]);
}

#[test]
fn an_order_that_never_arrived_is_not_given_again_once_its_start_is_lost() {
    let mut story = at_the_branch();
    story.damage("trunk", 100);
    story.expect(&["removed the checkpoint of trunk at 100: damaged"]);
    story.join("w1", &[]);
    story.expect(&[
        "ended short#1: the checkpoint of trunk at 100 is of no use",
        "reopened trunk",
        "started trunk#2 on w1",
        "assign trunk#2 to w1 from step 40",
    ]);
}

#[test]
fn only_what_nothing_needs_is_collected() {
    let mut story = at_the_branch();
    for step in [103, 106] {
        story.checkpoint("w1", "short#1", step);
        story.expect(&[format!("checkpoint of short#1 at {step}")]);
    }
    let all = [("trunk", 40), ("trunk", 100), ("short", 103), ("short", 106), ("short", 107)];
    let holds = all.map(|(label, step)| story.scheduler.ledger().holds().of(&story.stage(label), step));
    assert_eq!(holds, [None, Some(Hold::BranchPoint), None, Some(Hold::Newest), None]);
    story.collect(&all);
    let mut collected = story.take();
    collected.sort();
    assert_eq!(
        collected,
        ["removed the checkpoint of short at 103: collected", "removed the checkpoint of trunk at 40: collected",]
    );
    // What goes on is not disturbed, and what is there is enough.
    story.checkpoint("w1", "short#1", 110);
    story.expect(&["checkpoint of short#1 at 110"]);
    story.complete("w1", "short#1");
    story.expect(&["completed short#1", "c is over"]);
    story.collect(&all);
    story.expect(&["removed the checkpoint of short at 106: collected"]);
    assert_eq!(story.scheduler.ledger().holds().of(&story.stage("short"), 110), Some(Hold::Result));
}

#[test]
fn of_results_only_the_best_of_each_size_may_be_kept() {
    let mut best = plan("c", &[("trunk", "", 100), ("good", "trunk", 10), ("bad", "trunk", 20)]);
    best.checkpoints.keep = Keep::Best;
    for trial in &mut best.trials {
        trial.size = "one".to_owned();
    }
    let mut story = Scenario::with_one_worker(&best);
    for (attempt, step, loss) in [("trunk#1", 100, 3.0), ("bad#1", 120, 2.5), ("good#1", 110, 2.0)] {
        story.checkpoint("w1", attempt, step);
        story.take();
        story.complete_with("w1", attempt, result(loss));
        story.take();
    }
    story.collect(&[("trunk", 100), ("good", 110), ("bad", 120)]);
    story.expect(&["removed the checkpoint of bad at 120: collected"]);
    // Another campaign that keeps all of them has its say.
    story.submit(&plan("d", &[("trunk", "", 100), ("good", "trunk", 10)]));
    story.expect(&["accepted d", "d is over"]);
    assert_eq!(story.scheduler.ledger().holds().of(&story.stage("good"), 110), Some(Hold::Result));
}
