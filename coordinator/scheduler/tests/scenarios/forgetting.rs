//! Campaigns that are forgotten.

use scheduler::{Event, ForgetError, Scheduler, Snapshot};

use crate::scenario::{Scenario, settings};
use crate::support::{campaign, plan};

impl Scenario {
    #[track_caller]
    fn forget(&mut self, name: &str) {
        self.handle(Event::ForgetRequested { campaign: campaign(name) });
    }
}

#[test]
fn what_only_an_ended_campaign_has_goes_and_what_is_shared_stays() {
    let lines = [("trunk", "", 100), ("short", "trunk", 10), ("longest", "trunk", 90)];
    let mut story = Scenario::with_one_worker(&plan("c", &lines));
    for (attempt, step) in [("trunk#1", 100), ("longest#1", 190), ("short#1", 110)] {
        story.checkpoint("w1", attempt, step);
        story.complete_after_checkpoint("w1", attempt);
    }
    story.take();
    story.submit(&plan("d", &[("trunk", "", 100), ("long", "trunk", 20)]));
    story.take();
    let (trunk, short) = (story.stage("trunk"), story.stage("short"));
    story.forget("d");
    story.expect_nothing();
    assert_eq!(story.scheduler.ledger().forgettable(&campaign("d")), Err(ForgetError::Open));
    story.forget("c");
    story.expect(&["forgot c", "forget short, longest"]);
    assert_eq!(story.scheduler.ledger().campaign(&campaign("c")), None);
    assert!(story.scheduler.work(&trunk).is_some() && story.scheduler.work(&short).is_none());
    story.forget("c");
    story.expect_nothing();

    let snapshot = serde_json::to_string(&story.scheduler.snapshot()).expect("it has a JSON form");
    let snapshot: Snapshot = serde_json::from_str(&snapshot).expect("it can be read");
    let restored = Scheduler::restore_from(settings(), scheduler::Timestamp(0), snapshot, []).expect("it is sound");
    assert_eq!(restored.ledger(), story.scheduler.ledger());

    // It may come back, and is trained anew as far as it is gone.
    story.checkpoint("w1", "long#1", 120);
    story.complete_after_checkpoint("w1", "long#1");
    story.take();
    story.submit(&plan("c", &lines));
    story.expect(&["accepted c", "started longest#1 on w1", "assign longest#1 to w1 from trunk"]);
}

#[test]
fn a_cancelled_campaign_is_forgotten_once_its_workers_have_stopped() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.cancel("c");
    story.take();
    story.forget("c");
    story.expect_nothing();
    let trunk = story.stage("trunk");
    assert_eq!(story.scheduler.ledger().forgettable(&campaign("c")), Err(ForgetError::Running { stage: trunk }));
    assert_eq!(story.scheduler.forgettable(&campaign("c")), Err(ForgetError::Running { stage: trunk }));
    story.confirm("w1", "trunk#1");
    story.take();
    story.forget("c");
    story.expect(&["forgot c", "forget trunk, short"]);
    assert_eq!(story.scheduler.ledger().stage_count(), 0);
    assert!(story.scheduler.ready().is_empty());
}

#[test]
fn a_worker_that_has_not_come_back_keeps_nothing_from_being_forgotten() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
    story.cancel("c");
    story.restart();
    story.take();
    story.forget("c");
    story.expect(&["ended trunk#1: no longer needed", "forgot c", "forget trunk, short"]);
    story.join("w1", &["trunk#1"]);
    story.expect(&["refuse trunk#1 to w1"]);
    // No lease is left that could end.
    story.wait(1000);
    story.expect(&["forget w1"]);
}
