//! Campaigns: submitted, trained, shared, cancelled, submitted again.

use scheduler::{CampaignPhase, Slot, StageCounts, StageState, TrialCounts};
use vocabulary::metrics::{GRADIENT_COSINE, VALIDATION_LOSS};
use vocabulary::{Measurements, Surgery};

use crate::scenario::{Scenario, result};
use crate::support::{campaign, plan, worker};

const TRUNK_AND_TWO: [(&str, &str, u64); 3] = [("trunk", "", 100), ("short", "trunk", 10), ("long", "trunk", 20)];

#[test]
fn a_stage_is_assigned_trained_and_done() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.checkpoint("w1", "whole#1", 50);
    story.expect(&["checkpoint of whole#1 at 50"]);
    story.checkpoint("w1", "whole#1", 100);
    story.expect(&["checkpoint of whole#1 at 100"]);
    story.complete("w1", "whole#1");
    story.expect(&["completed whole#1", "c is over"]);

    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!(status.phase, CampaignPhase::Ended);
    assert_eq!(status.stages, StageCounts { completed: 1, ..StageCounts::default() });
    assert_eq!(status.trials, TrialCounts { completed: 1, ..TrialCounts::default() });
    assert!(story.scheduler.workers().all(|worker| worker.slot == Slot::Idle));
}

#[test]
fn branches_start_once_the_last_checkpoint_of_the_trunk_and_its_end_are_known() {
    let mut story = Scenario::with_one_worker(&plan("c", &TRUNK_AND_TWO));
    story.join("w2", &[]);
    story.expect_nothing();
    assert!(story.stage_is("short").ends_with("which is running"), "{}", story.stage_is("short"));
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&[
        "completed trunk#1",
        "started long#1 on w1",
        "assign long#1 to w1 from trunk",
        "started short#1 on w2",
        "assign short#1 to w2 from trunk",
    ]);
}

#[test]
fn a_report_that_comes_twice_counts_once() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    for effects in [&["checkpoint of whole#1 at 100"][..], &[]] {
        story.checkpoint("w1", "whole#1", 100);
        story.expect(effects);
    }
    for effects in [&["completed whole#1", "c is over"][..], &[]] {
        story.complete("w1", "whole#1");
        story.expect(effects);
    }
    story.checkpoint("w1", "whole#1", 50);
    story.expect_nothing();
}

#[test]
fn a_finished_campaign_submitted_again_trains_nothing() {
    let plan = plan("c", &[("whole", "", 100)]);
    let mut story = Scenario::with_one_worker(&plan);
    story.submit(&plan);
    story.expect_nothing();
    story.checkpoint("w1", "whole#1", 100);
    story.expect(&["checkpoint of whole#1 at 100"]);
    story.complete("w1", "whole#1");
    story.expect(&["completed whole#1", "c is over"]);
    story.submit(&plan);
    story.expect(&["c is over"]);

    story.restart();
    story.join("w2", &[]);
    story.expect_nothing();
    story.submit(&plan);
    story.expect(&["c is over"]);
}

#[test]
fn two_campaigns_share_a_trunk_and_what_is_below_it() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.submit(&plan("d", &[("trunk", "", 100), ("short", "trunk", 10), ("long", "trunk", 20)]));
    story.expect(&["accepted d"]);
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started long#1 on w1", "assign long#1 to w1 from trunk"]);
    story.checkpoint("w1", "long#1", 120);
    story.expect(&["checkpoint of long#1 at 120"]);
    story.complete("w1", "long#1");
    story.expect(&["completed long#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
    story.checkpoint("w1", "short#1", 110);
    story.expect(&["checkpoint of short#1 at 110"]);
    story.complete("w1", "short#1");
    let mut over = ["c", "d"].map(|name| (campaign(name), format!("{name} is over")));
    over.sort();
    story.expect(&["completed short#1", &over[0].1, &over[1].1]);

    // A third one finds all of it done.
    story.submit(&plan("e", &[("trunk", "", 100), ("long", "trunk", 20)]));
    story.expect(&["accepted e", "e is over"]);
}

#[test]
fn a_campaign_that_adds_points_to_a_trained_trunk_trains_those_alone() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100)]));
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "c is over"]);
    story.submit(&plan("d", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.expect(&["accepted d", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
}

#[test]
fn a_loss_out_of_bounds_is_a_result_and_ends_what_is_below() {
    let mut story = Scenario::with_one_worker(&plan("c", &TRUNK_AND_TWO));
    story.diverge("w1", "trunk#1", 7, f64::NAN);
    story.expect(&["diverged trunk#1 at 7 with None", "c is over"]);
    assert_eq!(story.stage_is("short"), "not run");

    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!(status.stages, StageCounts { diverged: 1, not_run: 2, ..StageCounts::default() });
    assert_eq!(status.trials, TrialCounts { diverged: 2, ..TrialCounts::default() });

    // It did not fail: there is nothing to try again, and another campaign does not either.
    story.retry("c");
    story.expect_nothing();
    story.submit(&plan("d", &[("trunk", "", 100), ("other", "trunk", 5)]));
    story.expect(&["accepted d", "d is over"]);
}

#[test]
fn a_validation_loss_that_is_not_a_number_is_a_divergence_too() {
    let mut story = Scenario::with_one_worker(&plan("c", &TRUNK_AND_TWO));
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete_with("w1", "trunk#1", result(f64::INFINITY));
    story.expect(&["diverged trunk#1 at 100 with None", "c is over"]);
}

#[test]
fn a_loss_on_one_set_that_is_not_a_number_is_a_divergence_and_another_measurement_is_not() {
    let nan_on_one_set = result(3.0).with(VALIDATION_LOSS.part(1), f64::NAN);
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.checkpoint("w1", "whole#1", 100);
    story.expect(&["checkpoint of whole#1 at 100"]);
    story.complete_with("w1", "whole#1", nan_on_one_set);
    story.expect(&["diverged whole#1 at 100 with None", "c is over"]);

    let nan_elsewhere = result(3.0).with(GRADIENT_COSINE, f64::NAN);
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.checkpoint("w1", "whole#1", 100);
    story.expect(&["checkpoint of whole#1 at 100"]);
    story.complete_with("w1", "whole#1", nan_elsewhere.clone());
    story.expect(&["completed whole#1", "c is over"]);
    assert!(matches!(story.state("whole"), StageState::Completed { result, .. } if result == nan_elsewhere));
}

#[test]
fn a_stage_that_measures_no_loss_completes_without_one() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.checkpoint("w1", "whole#1", 100);
    story.expect(&["checkpoint of whole#1 at 100"]);
    story.complete_with("w1", "whole#1", Measurements::new());
    story.expect(&["completed whole#1", "c is over"]);
    assert!(
        matches!(story.state("whole"), StageState::Completed { result, .. } if result.get(VALIDATION_LOSS).is_none())
    );
}

#[test]
fn cancelling_takes_the_stage_away_and_the_slot_is_free_when_the_worker_says_so() {
    let mut story = Scenario::with_one_worker(&plan("c", &TRUNK_AND_TWO));
    story.submit(&plan("d", &[("other", "", 5)]));
    story.expect(&["accepted d"]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    assert_eq!(story.stage_is("short"), "every campaign that wanted it was cancelled");
    story.cancel("c");
    story.expect_nothing();
    story.heartbeat("w1", &["trunk#1"]);
    story.expect_nothing();

    story.confirm("w1", "trunk#1");
    story.expect(&[
        "ended trunk#1: no longer needed",
        "started other#1 on w1",
        "assign other#1 to w1 from initial weights",
    ]);
    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!(status.phase, CampaignPhase::Cancelled);
}

#[test]
fn a_stage_done_before_the_revocation_arrives_is_done() {
    let mut story = Scenario::with_one_worker(&plan("c", &TRUNK_AND_TWO));
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1"]);
    story.confirm("w1", "trunk#1");
    story.expect_nothing();
}

#[test]
fn a_cancelled_campaign_submitted_again_goes_on_from_its_checkpoint() {
    let plan = plan("c", &TRUNK_AND_TWO);
    let mut story = Scenario::with_one_worker(&plan);
    story.checkpoint("w1", "trunk#1", 40);
    story.expect(&["checkpoint of trunk#1 at 40"]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    story.submit(&plan);
    story.expect(&["accepted c"]);
    story.confirm("w1", "trunk#1");
    story.expect(&["ended trunk#1: no longer needed", "started trunk#2 on w1", "assign trunk#2 to w1 from step 40"]);
}

#[test]
fn cancelling_leaves_what_another_campaign_wants() {
    let mut story = Scenario::with_one_worker(&plan("c", &TRUNK_AND_TWO));
    story.submit(&plan("d", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.expect(&["accepted d"]);
    story.cancel("c");
    story.expect(&["cancelled c", "c is over"]);
    story.checkpoint("w1", "trunk#1", 100);
    story.expect(&["checkpoint of trunk#1 at 100"]);
    story.complete("w1", "trunk#1");
    story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
}

#[test]
fn what_is_over_or_unknown_cannot_be_cancelled_or_tried_again() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.checkpoint("w1", "whole#1", 100);
    story.expect(&["checkpoint of whole#1 at 100"]);
    story.complete("w1", "whole#1");
    story.expect(&["completed whole#1", "c is over"]);
    for name in ["c", "nobody's"] {
        story.cancel(name);
        story.expect_nothing();
        story.retry(name);
        story.expect_nothing();
    }
}

#[test]
fn a_plan_that_is_none_is_rejected_and_leaves_nothing() {
    let good = plan("c", &TRUNK_AND_TWO);
    let mut story = Scenario::new();
    let mut refuse = |damage: &dyn Fn(&mut vocabulary::Plan), said: &str| {
        let mut bad = good.clone();
        damage(&mut bad);
        story.submit(&bad);
        let found = story.scheduler.plan(&good.campaign);
        assert!(found.is_none());
        let short =
            |text: String| good.stages.iter().fold(text, |text, it| text.replace(&it.key.to_string(), &it.size));
        let effects = story.take().into_iter().map(short).collect::<Vec<_>>();
        assert_eq!(effects, [format!("reject c: {said}")]);
    };
    refuse(&|plan| plan.dataset = None, "the plan has no prepared dataset");
    refuse(&|plan| plan.trials.clear(), "the plan has no trials");
    refuse(&|plan| plan.stages.swap(0, 1), "the parent of short does not come before it");
    refuse(&|plan| plan.stages.push(plan.stages[2].clone()), "long is in the plan twice");
    refuse(
        &|plan| plan.stages[1].spec.steps.end = 100,
        "short trains steps 100..100, and has to begin at 100 and to have a step",
    );
    refuse(&|plan| plan.stages[1].spec.model.vocab += 1, "short trains another model than its parent leaves it");
    refuse(
        &|plan| plan.stages[1].spec.start.surgery.push(Surgery::Untie),
        "short trains another model than its parent leaves it",
    );
    refuse(
        &|plan| {
            plan.stages[0].spec.model.tied = false;
            plan.stages[1].spec.start.surgery.push(Surgery::Untie);
        },
        "short cannot start from its parent: the model's head is already a matrix of its own, so it cannot be untied from \
         the embedding",
    );
    let altered = {
        let mut spec = good.stages[2].spec.clone();
        spec.peak_lr = 1.0;
        spec.key(Some(&good.stages[0].key))
    };
    refuse(
        &|plan| plan.stages[2].spec.peak_lr = 1.0,
        &format!("long is named {altered} by this version: was the plan made by another one?"),
    );
    let trial = good.trials[0].id;
    for path in [vec![], vec![good.stages[1].key], vec![good.stages[0].key, good.stages[1].key, good.stages[2].key]] {
        refuse(
            &|plan| plan.trials[0].path = path.clone(),
            &format!("{trial} is not a path from a root of the stage tree"),
        );
    }
    assert_eq!(story.facts, []);
    assert!(story.scheduler.workers().all(|known| known.worker != worker("w1")));
}
