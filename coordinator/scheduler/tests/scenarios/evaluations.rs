//! Evaluations: what is measured on the last checkpoint of a stage.

use scheduler::{CampaignPhase, Event, Fact, Hold, IllegalFact, Scheduler, StageCounts, StageState, Timestamp};
use vocabulary::{Evaluation, Growth, Keep, StageKey, StageRole};

use crate::scenario::{Scenario, result, settings};
use crate::support::{campaign, evaluations, plan};

const TREE: [(&str, &str, u64); 2] = [("trunk", "", 100), ("short", "trunk", 10)];

#[test]
fn a_campaign_that_has_ended_is_evaluated_and_trains_nothing() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["trunk", "short"], "news");
    story.expect(&[
        "c grew by trunk/news, short/news",
        "started trunk/news#1 on w1",
        "assign trunk/news#1 to w1 from trunk",
    ]);
    assert_eq!(story.phase("c"), CampaignPhase::Open);
    assert_eq!(story.stage_is("short/news"), "queued, next in line");
    story.complete("w1", "trunk/news#1");
    story.expect(&["completed trunk/news#1", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.complete_with("w1", "short/news#1", result(2.5));
    story.expect(&["completed short/news#1", "c is over"]);
    assert!(matches!(story.state("short/news"), StageState::Completed { result: found, .. } if found == result(2.5)));
    assert_eq!([story.status("trunk").attempts, story.status("short").attempts], [1, 1]);
    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    let both = StageCounts { completed: 2, ..StageCounts::default() };
    assert_eq!((status.stages, status.evaluations, status.trials.completed), (both, both, 1));
    story.evaluate("c", &["trunk", "short"], "news");
    story.expect(&["c is over"]);
}

#[test]
fn an_evaluation_waits_for_the_last_checkpoint_of_its_stage() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100)]));
    story.evaluate("c", &["trunk"], "news");
    story.expect(&["c grew by trunk/news"]);
    let trunk = story.stage("trunk");
    assert_eq!(story.stage_is("trunk/news"), format!("starts from {}, which is running", trunk.short()));
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started trunk/news#1 on w1", "assign trunk/news#1 to w1 from trunk"]);
}

#[test]
fn an_evaluation_is_leased_retried_given_up_and_tried_again_like_a_stage() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.wait(30);
    story.expect(&["forget w1", "ended short/news#1: worker never confirmed the assignment"]);
    story.join("w2", &[]);
    story.expect_nothing();
    story.wait(1);
    story.expect(&["started short/news#2 on w2", "assign short/news#2 to w2 from short"]);
    story.heartbeat("w2", &["short/news#2"]);
    story.expect_nothing();
    story.leave("w2");
    story.expect(&["ended short/news#2: worker process ended"]);
    story.join("w3", &[]);
    story.expect(&["started short/news#3 on w3", "assign short/news#3 to w3 from short"]);
    for (attempt, wait) in [(3, 1), (4, 2)] {
        story.fail("w3", &format!("short/news#{attempt}"), true);
        story.expect(&[format!("ended short/news#{attempt}: failed: disk full")]);
        story.heartbeat("w3", &[]);
        story.expect_nothing();
        story.wait(wait);
        let next = attempt + 1;
        story.expect(&[
            format!("started short/news#{next} on w3"),
            format!("assign short/news#{next} to w3 from short"),
        ]);
    }
    story.fail("w3", "short/news#5", true);
    story.expect(&["ended short/news#5: failed: disk full", "gave up short/news: failed", "c is over"]);
    story.retry("c");
    story.expect(&["retried short/news", "started short/news#6 on w3", "assign short/news#6 to w3 from short"]);
    story.complete("w3", "short/news#6");
    story.expect(&["completed short/news#6", "c is over"]);
    assert_eq!(story.status("short").attempts, 1);
}

#[test]
fn an_evaluation_that_was_cancelled_is_taken_back_and_comes_back_when_it_is_asked_for_again() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.cancel("c");
    story.expect(&["cancelled short/news of c", "c is over", "revoke short/news#1 on w1"]);
    story.confirm("w1", "short/news#1");
    story.expect(&["ended short/news#1: no longer needed"]);
    assert_eq!(story.stage_is("short/news"), "every campaign that wanted it was cancelled");
    story.submit(&plan("c", &TREE));
    story.expect(&["c is over"]);
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#2 on w1", "assign short/news#2 to w1 from short"]);
}

#[test]
fn an_evaluation_below_a_stage_that_diverges_is_not_run() {
    let mut story = Scenario::with_one_worker(&plan("c", &TREE));
    story.evaluate("c", &["trunk", "short"], "news");
    story.expect(&["c grew by trunk/news, short/news"]);
    story.diverge("w1", "trunk#1", 7, f64::NAN);
    story.expect(&["diverged trunk#1 at 7 with None", "c is over"]);
    assert_eq!(["trunk/news", "short/news"].map(|label| story.stage_is(label)), ["not run"; 2]);
}

#[test]
fn a_loss_that_is_not_a_number_is_a_result_of_the_step_that_was_evaluated() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.complete_with("w1", "short/news#1", result(f64::INFINITY));
    story.expect(&["diverged short/news#1 at 110 with None", "c is over"]);
}

#[test]
fn a_worker_that_commits_a_checkpoint_of_an_evaluation_breaks_the_protocol() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.checkpoint("w1", "short/news#1", 110);
    story.expect(&[
        "ended short/news#1: worker broke the protocol: it committed a checkpoint of an evaluation, which has none",
        "refuse short/news#1 to w1",
    ]);
}

#[test]
fn a_stage_whose_checkpoint_is_found_damaged_is_trained_again_for_its_evaluation() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.cannot_start("w1", "short/news#1", "short", 110);
    story.expect(&[
        "removed the checkpoint of short at 110: damaged",
        "ended short/news#1: the checkpoint of short at 110 is of no use",
        "reopened short",
        "started short#2 on w1",
        "assign short#2 to w1 from trunk",
    ]);
    assert_eq!(story.status("short/news").counts, scheduler::Counts::default());
    story.checkpoint("w1", "short#2", 110);
    story.expect(&["checkpoint of short#2 at 110"]);
    story.complete("w1", "short#2");
    story.expect(&["completed short#2", "started short/news#2 on w1", "assign short/news#2 to w1 from short"]);
    story.complete("w1", "short/news#2");
    story.expect(&["completed short/news#2", "c is over"]);
    // Once it is done it needs no checkpoint.
    story.damage("short", 110);
    story.expect(&["removed the checkpoint of short at 110: damaged"]);
}

#[test]
fn an_evaluation_that_is_not_done_holds_the_checkpoint_it_starts_from() {
    let mut tree = plan("c", &[("best", "", 10), ("worse", "", 10)]);
    tree.checkpoints.keep = Keep::Best;
    for (stage, trial) in tree.stages.iter_mut().zip(&mut tree.trials) {
        stage.role = StageRole::Whole;
        trial.size = "both".to_owned();
    }
    let mut story = Scenario::with_one_worker(&tree);
    for (label, loss) in [("best", 2.0), ("worse", 3.0)] {
        story.checkpoint("w1", &format!("{label}#1"), 10);
        story.take();
        story.complete_with("w1", &format!("{label}#1"), result(loss));
        story.take();
    }
    let hold = |story: &Scenario, label: &str| story.scheduler.ledger().holds().of(&story.stage(label), 10);
    assert_eq!((hold(&story, "best"), hold(&story, "worse")), (Some(Hold::Result), None));
    story.evaluate("c", &["worse"], "news");
    story.expect(&["c grew by worse/news", "started worse/news#1 on w1", "assign worse/news#1 to w1 from worse"]);
    // Of a campaign that is not over, every result is kept; the evaluation holds it by itself.
    story.cancel("c");
    story.expect(&["cancelled worse/news of c", "c is over", "revoke worse/news#1 on w1"]);
    story.evaluate("c", &["worse"], "news");
    story.expect(&["c grew by worse/news"]);
    story.confirm("w1", "worse/news#1");
    story.expect(&[
        "ended worse/news#1: no longer needed",
        "started worse/news#2 on w1",
        "assign worse/news#2 to w1 from worse",
    ]);
    for attempt in 2..5 {
        story.fail("w1", &format!("worse/news#{attempt}"), true);
        story.take();
        story.heartbeat("w1", &[]);
        story.wait(4);
        story.take();
    }
    assert_eq!(story.stage_is("worse/news"), "failed");
    assert_eq!(hold(&story, "worse"), Some(Hold::Evaluation), "it may be tried again");
    story.collect(&[("worse", 10)]);
    story.expect_nothing();
    story.retry("c");
    story.take();
    story.complete("w1", "worse/news#5");
    story.expect(&["completed worse/news#5", "c is over"]);
    assert_eq!(hold(&story, "worse"), None);
    story.collect(&[("worse", 10)]);
    story.expect(&["removed the checkpoint of worse at 10: collected"]);
}

/// Its results stay what they are, and it is not a cancelled campaign.
#[test]
fn of_a_campaign_that_is_trained_only_the_evaluations_are_cancelled() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["trunk"], "first");
    story.take();
    story.complete("w1", "trunk/first#1");
    story.take();
    story.evaluate("c", &["trunk", "short"], "news");
    story.take();
    story.cancel("c");
    story.expect(&["cancelled trunk/news, short/news of c", "c is over", "revoke trunk/news#1 on w1"]);
    assert_eq!(story.phase("c"), CampaignPhase::Ended);
    let cancelled = StageCounts { completed: 1, running: 1, not_run: 1, ..StageCounts::default() };
    let status = |story: &Scenario| story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!((status(&story).evaluations, status(&story).stages.completed), (cancelled, 2));
    story.cancel("c");
    story.expect_nothing();
    story.confirm("w1", "trunk/news#1");
    story.expect(&["ended trunk/news#1: no longer needed"]);

    // That holds over restarts, from the log and from a snapshot.
    let text = serde_json::to_string(&story.scheduler.snapshot()).expect("a snapshot has a JSON form");
    let snapshot = serde_json::from_str(&text).expect("it can be read");
    let restored = Scheduler::restore_from(settings(), Timestamp(0), snapshot, []).expect("it is sound");
    assert_eq!(restored.ledger(), story.scheduler.ledger());
    story.restart();
    story.join("w1", &[]);
    story.expect_nothing();

    // One of them is asked for again.
    story.evaluate("c", &["short"], "news");
    story.expect(&["c grew by short/news", "started short/news#1 on w1", "assign short/news#1 to w1 from short"]);
    story.complete("w1", "short/news#1");
    story.expect(&["completed short/news#1", "c is over"]);
    let counts = StageCounts { completed: 2, not_run: 1, ..StageCounts::default() };
    assert_eq!(status(&story).evaluations, counts);
}

#[test]
fn evaluations_beside_training_are_cancelled_with_it_and_come_back_with_it() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100)]));
    story.evaluate("c", &["trunk"], "news");
    story.take();
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    assert_eq!(story.phase("c"), CampaignPhase::Cancelled);
    assert_eq!(story.stage_is("trunk/news"), "every campaign that wanted it was cancelled");
    story.confirm("w1", "trunk#1");
    story.take();
    story.submit(&plan("c", &[("trunk", "", 100)]));
    story.expect(&["accepted c", "started trunk#2 on w1", "assign trunk#2 to w1 from initial weights"]);
    let trunk = story.stage("trunk");
    assert_eq!(story.stage_is("trunk/news"), format!("starts from {}, which is running", trunk.short()), "it is back");
}

#[test]
fn what_is_evaluated_counts_towards_the_longest_path() {
    let mut story = Scenario::new();
    story.submit(&plan("c", &[("first", "", 50), ("second", "", 50)]));
    story.expect(&["accepted c"]);
    assert_eq!(story.scheduler.ready(), [story.stage("first"), story.stage("second")]);
    story.evaluate("c", &["second"], "news");
    story.expect(&["c grew by second/news"]);
    assert_eq!(story.scheduler.ready(), [story.stage("second"), story.stage("first")]);
}

#[test]
fn what_is_no_evaluation_of_the_campaign_is_rejected_and_leaves_nothing() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    let tree = plan("c", &TREE);
    let sound = || evaluations("c", &tree, &["short"], "news");
    let mut try_with = |change: &dyn Fn(&mut Growth)| {
        let mut growth = sound();
        change(&mut growth);
        story.handle(Event::GrowthRequested { growth });
        story.take().concat()
    };
    let stranger = StageKey::from_bytes([7; 32]);
    assert!(try_with(&|growth| growth.evaluations[0].parent = stranger).contains("does not come before it"));
    assert!(try_with(&|growth| growth.evaluations[0].key = stranger).contains("was the plan made by another one"));
    assert!(try_with(&|growth| growth.evaluations.push(growth.evaluations[0].clone())).contains("in the plan twice"));
    assert!(try_with(&|growth| growth.evaluations[0].spec.model.tied = false).contains("is of another model than"));
    let other = evaluations("c", &tree, &["trunk"], "code").evaluations.remove(0);
    let misnamed = Evaluation { name: "news".to_owned(), ..other };
    assert!(try_with(&|growth| growth.evaluations.push(misnamed.clone())).contains("other text under the name `news`"));
    assert_eq!(story.phase("c"), CampaignPhase::Ended);
}

#[test]
fn evaluations_survive_a_restart_from_the_log_and_from_a_snapshot() {
    let mut story = Scenario::ended(&plan("c", &TREE));
    story.evaluate("c", &["trunk", "short"], "news");
    story.take();
    story.complete("w1", "trunk/news#1");
    story.take();
    let text = serde_json::to_string(&story.scheduler.snapshot()).expect("a snapshot has a JSON form");
    let snapshot = serde_json::from_str(&text).expect("it can be read");
    let restored = Scheduler::restore_from(settings(), Timestamp(0), snapshot, []).expect("it is sound");
    assert_eq!(restored.ledger(), story.scheduler.ledger());
    story.restart();
    story.join("w1", &["short/news#1"]);
    story.expect_nothing();
    story.complete("w1", "short/news#1");
    story.expect(&["completed short/news#1", "c is over"]);
}

#[test]
fn facts_about_evaluations_can_be_read_again_and_those_without_are_what_they_were() {
    let growth = evaluations("c", &plan("c", &TREE), &["short"], "news");
    let grown = Fact::CampaignGrown { growth };
    let text = serde_json::to_string(&grown).expect("a fact has a JSON form");
    assert!(text.contains(r#""evaluations":[{"key":"stage_"#), "{text}");
    assert_eq!(serde_json::from_str::<Fact>(&text).expect("it can be read"), grown);
    let accepted = serde_json::to_string(&Fact::CampaignAccepted { plan: plan("c", &TREE) }).expect("a JSON form");
    assert!(!accepted.contains("evaluations"), "{accepted}");
    let unknown = Scheduler::restore(settings(), Timestamp(0), [grown]).expect_err("nobody submitted it").source;
    assert_eq!(unknown, IllegalFact::UnknownCampaign { campaign: campaign("c"), fact: "campaign_grown" });
}
