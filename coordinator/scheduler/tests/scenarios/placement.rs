//! Which stage, and on which worker.

use scheduler::memory::memory_needed;
use vocabulary::{Abilities, NUMERICS_VERSION, WorkKind};

use crate::scenario::Scenario;
use crate::support::plan;

#[test]
fn the_longest_path_to_a_leaf_goes_first() {
    // `deep` is the shorter stage, and has the longer way to go.
    let mut story = Scenario::new();
    story.submit(&plan("c", &[("flat", "", 60), ("deep", "", 50), ("below", "deep", 20)]));
    story.expect(&["accepted c"]);
    assert_eq!(story.scheduler.ready(), [story.stage("deep"), story.stage("flat")]);
    story.join("w1", &[]);
    story.expect(&["started deep#1 on w1", "assign deep#1 to w1 from initial weights"]);
    assert_eq!(story.stage_is("flat"), "queued, next in line");
}

#[test]
fn a_campaign_that_deepens_the_tree_moves_its_trunk_up() {
    let mut story = Scenario::new();
    story.submit(&plan("c", &[("flat", "", 60), ("deep", "", 50)]));
    story.expect(&["accepted c"]);
    assert_eq!(story.scheduler.ready(), [story.stage("flat"), story.stage("deep")]);
    story.submit(&plan("d", &[("deep", "", 50), ("below", "deep", 20)]));
    story.expect(&["accepted d"]);
    assert_eq!(story.scheduler.ready(), [story.stage("deep"), story.stage("flat")]);
    story.join("w1", &[]);
    story.expect(&["started deep#1 on w1", "assign deep#1 to w1 from initial weights"]);
    story.submit(&plan("e", &[("later", "", 10)]));
    story.expect(&["accepted e"]);
    assert_eq!(story.stage_is("later"), "queued, next in line", "its campaign was given nothing yet");
    assert_eq!(story.stage_is("flat"), "queued, second in line");
}

#[test]
fn of_equal_paths_the_one_asked_for_first_goes_first() {
    let mut story = Scenario::new();
    story.submit(&plan("c", &[("one", "", 50), ("two", "", 50), ("three", "", 50)]));
    story.expect(&["accepted c"]);
    story.join("w1", &[]);
    story.expect(&["started one#1 on w1", "assign one#1 to w1 from initial weights"]);
    story.join("w2", &[]);
    story.expect(&["started two#1 on w2", "assign two#1 to w2 from initial weights"]);
}

#[test]
fn a_branch_goes_to_the_worker_that_trained_its_parent() {
    for trainer in ["w1", "w2", "w3"] {
        let mut story = Scenario::new();
        story.join(trainer, &[]);
        story.expect_nothing();
        story.submit(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
        story.expect(&[
            "accepted c".to_owned(),
            format!("started trunk#1 on {trainer}"),
            format!("assign trunk#1 to {trainer} from initial weights"),
        ]);
        for other in ["w1", "w2", "w3"].into_iter().filter(|name| *name != trainer) {
            story.join(other, &[]);
            story.expect_nothing();
        }
        story.checkpoint(trainer, "trunk#1", 100);
        story.expect(&["checkpoint of trunk#1 at 100"]);
        story.complete(trainer, "trunk#1");
        story.expect(&[
            "completed trunk#1".to_owned(),
            format!("started short#1 on {trainer}"),
            format!("assign short#1 to {trainer} from trunk"),
        ]);
    }
}

#[test]
fn a_branch_goes_to_a_worker_that_says_it_has_its_parents_checkpoint() {
    for holder in ["w2", "w3"] {
        let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
        story.checkpoint("w1", "trunk#1", 100);
        story.expect(&["checkpoint of trunk#1 at 100"]);
        story.complete("w1", "trunk#1");
        story.expect(&["completed trunk#1", "started short#1 on w1", "assign short#1 to w1 from trunk"]);
        story.leave("w1");
        story.expect(&["ended short#1: worker process ended before it began"]);
        for name in ["w2", "w3"] {
            // A checkpoint that nothing starts from is of no use.
            let holds: &[&str] = if name == holder { &["trunk", "short"] } else { &["short"] };
            story.join_as(name, None, &[], holds);
            story.expect_nothing();
        }
        story.wait(1);
        story.expect(&[format!("started short#2 on {holder}"), format!("assign short#2 to {holder} from trunk")]);
    }
}

#[test]
fn a_stage_that_failed_goes_to_another_worker_if_there_is_one() {
    let mut story = Scenario::with_one_worker(&plan("c", &[("whole", "", 100)]));
    story.join("w2", &[]);
    story.expect_nothing();
    story.fail("w1", "whole#1", true);
    story.expect(&["ended whole#1: failed: disk full"]);
    story.wait(1);
    story.expect(&["started whole#2 on w2", "assign whole#2 to w2 from initial weights"]);
}

#[test]
fn a_worker_with_too_little_memory_gets_what_fits_and_the_rest_says_why_it_waits() {
    let mut small = plan("small", &[("small", "", 10)]);
    let mut large = plan("large", &[("large", "", 10)]);
    let stage = &mut large.stages[0];
    (stage.spec.model.shape.n_layers, stage.spec.model.shape.d_ff) = (40, 4096);
    stage.key = stage.spec.key(None);
    large.trials[0].path = vec![stage.key];
    small.stages[0].size = "small".to_owned();
    let needed = [&small, &large].map(|plan| memory_needed(&plan.stages[0].clone().into()));
    assert!(needed[0] < needed[1]);

    let mut story = Scenario::new();
    story.submit(&large);
    story.expect(&["accepted large"]);
    story.submit(&small);
    story.expect(&["accepted small"]);
    story.join_as("w1", Some(needed[1] - 1), &[], &[]);
    story.expect(&["started small#1 on w1", "assign small#1 to w1 from initial weights"]);
    assert!(story.stage_is("large").starts_with("needs about 0.5 GiB"), "{}", story.stage_is("large"));
    story.join_as("w2", Some(needed[1]), &[], &[]);
    story.expect(&["started large#1 on w2", "assign large#1 to w2 from initial weights"]);
}

#[test]
fn an_evaluation_goes_to_a_worker_that_can_evaluate_and_says_so_while_there_is_none() {
    let mut story = Scenario::new();
    story.join_able("old", Abilities::of([WorkKind::Train]));
    story.expect_nothing();
    story.submit(&plan("c", &[("whole", "", 10)]));
    story.expect(&["accepted c", "started whole#1 on old", "assign whole#1 to old from initial weights"]);
    story.checkpoint("old", "whole#1", 10);
    story.expect(&["checkpoint of whole#1 at 10"]);
    story.complete("old", "whole#1");
    story.expect(&["completed whole#1", "c is over"]);
    story.evaluate("c", &["whole"], "news");
    story.expect(&["c grew by whole/news"]);
    assert_eq!(
        story.stage_is("whole/news"),
        format!(
            "needs a worker that can evaluate in fp32 with numerics version {NUMERICS_VERSION} and measure `held_out_loss`"
        )
    );
    story.join("new", &[]);
    story.expect(&["started whole/news#1 on new", "assign whole/news#1 to new from whole"]);
    // One that cannot evaluate is not kept from what it can do by an evaluation that comes before it in the queue.
    story.evaluate("c", &["whole"], "code");
    story.expect(&["c grew by whole/code"]);
    story.submit(&plan("d", &[("other", "", 10)]));
    story.expect(&["accepted d", "started other#1 on old", "assign other#1 to old from initial weights"]);
}
