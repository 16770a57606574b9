//! Campaigns that grow: what is new is trained, and nothing else.

use scheduler::{CampaignPhase, Fact, IllegalFact, Scheduler, StageCounts, Timestamp};
use vocabulary::Plan;

use crate::scenario::{Scenario, settings};
use crate::support::{campaign, growth, plan};

const SMALL: [(&str, &str, u64); 2] = [("trunk", "", 100), ("short", "trunk", 10)];
const LARGE: [(&str, &str, u64); 4] =
    [("trunk", "", 100), ("further", "trunk", 50), ("long", "further", 20), ("short", "trunk", 10)];

fn sizes(plan: &Plan) -> Vec<&str> {
    plan.trials.iter().map(|trial| trial.size.as_str()).collect()
}

#[test]
fn a_campaign_that_has_ended_grows_and_trains_what_is_new() {
    let mut story = Scenario::ended(&plan("c", &SMALL));
    story.grow("c", &plan("whole", &LARGE));
    story.expect(&["c grew by further, long", "started further#1 on w1", "assign further#1 to w1 from trunk"]);
    assert_eq!(story.phase("c"), CampaignPhase::Open);
    let grown = story.scheduler.plan(&campaign("c")).expect("it was submitted");
    assert_eq!(sizes(grown), ["long", "short"], "in the order of the growth");
    story.checkpoint("w1", "further#1", 150);
    story.expect(&["checkpoint of further#1 at 150"]);
    story.complete("w1", "further#1");
    story.expect(&["completed further#1", "started long#1 on w1", "assign long#1 to w1 from further"]);
    story.checkpoint("w1", "long#1", 170);
    story.expect(&["checkpoint of long#1 at 170"]);
    story.complete("w1", "long#1");
    story.expect(&["completed long#1", "c is over"]);
    let status = story.scheduler.campaign_status(&campaign("c")).expect("it was submitted");
    assert_eq!(status.stages, StageCounts { completed: 4, ..StageCounts::default() });
}

#[test]
fn the_same_growth_twice_and_the_first_recipe_again_change_nothing() {
    let mut story = Scenario::with_one_worker(&plan("c", &SMALL));
    story.grow("c", &plan("whole", &LARGE));
    story.expect(&["c grew by further, long"]);
    story.grow("c", &plan("whole", &LARGE));
    story.expect_nothing();
    story.submit(&plan("c", &SMALL));
    story.expect_nothing();
    assert_eq!(story.scheduler.plan(&campaign("c")).map(|plan| plan.trials.len()), Some(2));
}

#[test]
fn a_grown_campaign_that_was_cancelled_comes_back_grown() {
    let mut story = Scenario::with_one_worker(&plan("c", &SMALL));
    story.grow("c", &plan("whole", &LARGE));
    story.expect(&["c grew by further, long"]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    story.submit(&plan("c", &SMALL));
    story.expect(&["accepted c"]);
    let grown = story.scheduler.plan(&campaign("c")).expect("it was submitted");
    assert_eq!(sizes(grown), ["long", "short"]);
    assert_eq!(grown.stages.len(), 4);
}

#[test]
fn a_campaign_that_grows_by_what_another_has_trained_is_over_again_at_once() {
    let mut story = Scenario::ended(&plan("c", &SMALL));
    story.submit(&plan("d", &[("trunk", "", 100), ("other", "trunk", 5)]));
    story.expect(&["accepted d", "started other#1 on w1", "assign other#1 to w1 from trunk"]);
    story.grow("c", &plan("more", &[("trunk", "", 100), ("other", "trunk", 5)]));
    story.expect(&["c grew by other"]);
    assert_eq!(story.phase("c"), CampaignPhase::Open, "it runs for both");
    story.cancel("d");
    story.expect(&["cancelled d", "d is over"]);
    story.checkpoint("w1", "other#1", 105);
    story.expect(&["checkpoint of other#1 at 105"]);
    story.complete("w1", "other#1");
    story.expect(&["completed other#1", "c is over"]);

    story.submit(&plan("e", &[("trunk", "", 100)]));
    story.expect(&["accepted e", "e is over"]);
    story.grow("e", &plan("more", &[("trunk", "", 100), ("other", "trunk", 5)]));
    story.expect(&["e grew by other", "e is over"]);
}

#[test]
fn what_cannot_be_added_is_rejected_and_leaves_nothing() {
    let mut story = Scenario::with_one_worker(&plan("c", &SMALL));
    story.grow("stranger", &plan("whole", &LARGE));
    story.expect(&[format!("reject stranger: {} was never submitted", campaign("stranger"))]);
    let mut orphans = plan("whole", &LARGE);
    orphans.stages.retain(|stage| stage.size != "further");
    story.grow("c", &orphans);
    let long = orphans.stages.iter().find(|stage| stage.size == "long").expect("it is there").key;
    story.expect(&[format!("reject c: the parent of {long} does not come before it")]);
    let mut altered = plan("whole", &LARGE);
    altered.stages[2].spec.peak_lr = 1.0;
    story.grow("c", &altered);
    assert!(story.take().concat().contains("was the plan made by another one"));
    let mut twice = plan("whole", &LARGE);
    twice.trials.push(twice.trials[0].clone());
    story.grow("c", &twice);
    story.expect(&[format!("reject c: {} is in the plan twice", twice.trials[0].id)]);
    story.cancel("c");
    story.expect(&["cancelled c", "revoke trunk#1 on w1", "c is over"]);
    story.grow("c", &plan("whole", &LARGE));
    story.expect(&[format!("reject c: {} was cancelled: submit it again, and then add to it", campaign("c"))]);
    assert_eq!(story.scheduler.plan(&campaign("c")).map(|plan| plan.stages.len()), Some(2));
}

#[test]
fn a_log_in_which_a_campaign_grows_that_cannot_is_refused() {
    let grown = || Fact::CampaignGrown { growth: growth("c", &plan("whole", &LARGE)).beyond(&plan("c", &SMALL)) };
    let accepted = Fact::CampaignAccepted { plan: plan("c", &SMALL) };
    let restore = |facts: &[Fact]| Scheduler::restore(settings(), Timestamp(0), facts.iter().cloned());
    let why = |facts: &[Fact]| restore(facts).expect_err("it cannot be true").source;
    let campaign = campaign("c");
    assert_eq!(why(&[grown()]), IllegalFact::UnknownCampaign { campaign, fact: "campaign_grown" });
    let cancelled = Fact::CampaignCancelled { campaign };
    assert_eq!(
        why(&[accepted.clone(), cancelled, grown()]),
        IllegalFact::Unwanted { campaign, fact: "campaign_grown" }
    );
    assert!(matches!(why(&[accepted.clone(), grown(), grown()]), IllegalFact::Plan(_)));
    restore(&[accepted, grown()]).expect("it grew once");
}

#[test]
fn growth_has_a_form_in_the_log_that_can_be_read_again() {
    let grown = Fact::CampaignGrown { growth: growth("c", &plan("whole", &LARGE)) };
    let text = serde_json::to_string(&grown).expect("a fact has a JSON form");
    assert!(text.starts_with(r#"{"fact":"campaign_grown","growth":{"campaign":"#), "{text}");
    assert_eq!(serde_json::from_str::<Fact>(&text).expect("it can be read"), grown);
    let mut stored = serde_json::to_value(&grown).expect("a fact has a JSON form");
    stored["growth"].as_object_mut().expect("an object").remove("order").expect("it is there");
    let Fact::CampaignGrown { growth } = serde_json::from_value(stored).expect("it can be read") else {
        panic!("it is another fact");
    };
    assert_eq!(growth.order, [], "the new ones come last");
}
