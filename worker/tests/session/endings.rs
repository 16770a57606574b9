//! How attempts end, what becomes of their checkpoints, and when training has to wait.

use proto::limits::{MAX_LISTED, MAX_REASON_BYTES};
use proto::v1::worker_message::Body;
use vocabulary::StageKey;
use worker::runner::Ended;
use worker::session::{Action, Event};

use crate::story::{STEPS, Story};

#[test]
fn a_loss_that_is_no_number_is_a_result() {
    let mut story = Story::training();
    story.points("a#1", 0..3);
    story.expect(&["say 1: points [0, 1, 2] of a#1", "send 1"]);
    story.end("a#1", Ended::Diverged { step: 2, loss: f64::INFINITY });
    story.expect(&["say 2: a#1 diverged at 2 with inf", "send 2"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
}

#[test]
fn errors_say_whether_training_had_begun() {
    let mut story = Story::training();
    story.not_prepared("a#1");
    story.expect(&["say 1: a#1 did not start: no data", "send 1"]);
    story.assign("a#2");
    story.expect(&["prepare a#2"]);
    story.end("a#2", Ended::Failed { reason: "no such device".to_owned(), started: false });
    story.expect(&["say 2: a#2 did not start: no such device", "send 2"]);
    story.assign("a#3");
    story.expect(&["prepare a#3"]);
    story.end("a#3", Ended::Failed { reason: "no memory".to_owned(), started: true });
    story.expect(&["say 3: a#3 failed: no memory", "send 3"]);
}

#[test]
fn no_end_is_said_before_every_checkpoint_is_where_it_belongs() {
    let ends: [(Ended, &str); 3] = [
        (Ended::Diverged { step: 3, loss: f64::INFINITY }, "diverged at 3 with inf"),
        (Ended::Failed { reason: "no memory".to_owned(), started: true }, "failed: no memory"),
        (Ended::Released, "released"),
    ];
    for (ended, said) in ends {
        let mut story = Story::training();
        story.checkpoint("a#1", 2);
        story.expect(&["store a#1 at 2"]);
        story.checkpoint("a#1", 3);
        story.expect(&["store a#1 at 3"]);
        story.end("a#1", ended);
        story.expect_nothing();
        story.stored("a#1", 2);
        story.expect(&["say 1: checkpoint of a#1 at 2", "send 1"]);
        story.stored("a#1", 3);
        story.expect(&[
            "say 2: checkpoint of a#1 at 3".to_owned(),
            format!("say 3: a#1 {said}"),
            "send 2, 3".to_owned(),
        ]);
    }
}

#[test]
fn a_last_checkpoint_that_the_storage_does_not_take_hands_the_attempt_back() {
    let mut story = Story::training();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.complete("a#1");
    story.expect_nothing();
    story.lose("a#1", STEPS);
    story.expect(&["say 1: a#1 handed back, storage failed: disk full", "send 1"]);
    // The worker stays.
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
}

#[test]
fn a_last_checkpoint_that_cannot_be_taken_fails_the_attempt() {
    let mut story = Story::training();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.cannot_take("a#1", STEPS);
    story.expect_nothing();
    story.complete("a#1");
    story.expect(&["say 1: a#1 failed: no memory", "send 1"]);
}

#[test]
fn what_cannot_be_started_from_is_named() {
    let mut story = Story::training();
    story.cannot_start("a#1", 3);
    story.expect(&["say 1: a#1 cannot start from step 3: damaged", "send 1"]);
    story.assign("a#2");
    story.expect(&["prepare a#2"]);
    story.cannot_read("a#2");
    story.expect(&["say 2: a#2 handed back, storage failed: no answer", "send 2"]);
}

#[test]
fn a_last_checkpoint_that_is_lost_before_the_validation_ends_hands_it_back_too() {
    let mut story = Story::training();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.lose("a#1", STEPS);
    story.expect_nothing();
    story.complete("a#1");
    story.expect(&["say 1: a#1 handed back, storage failed: disk full", "send 1"]);
}

#[test]
fn a_lost_checkpoint_on_the_way_is_made_up_for_by_the_last() {
    let mut story = Story::training();
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.lose("a#1", 2);
    story.expect_nothing();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.stored("a#1", STEPS);
    story.expect(&["say 1: checkpoint of a#1 at 4", "send 1"]);
    story.complete("a#1");
    story.expect(&["say 2: a#1 completed", "send 2"]);
}

#[test]
fn a_stage_whose_last_checkpoint_was_there_already_takes_none() {
    let mut story = Story::training();
    story.complete("a#1");
    story.expect(&["say 1: a#1 completed", "send 1"]);
}

#[test]
fn an_end_of_an_attempt_that_is_not_in_hand_is_nothing() {
    let mut story = Story::training();
    story.complete("b#1");
    story.expect_nothing();
    story.points("a#2", 0..1);
    story.expect_nothing();
    story.checkpoint("a#2", 1);
    story.expect_nothing();
    story.stored("a#2", 1);
    story.expect_nothing();
}

#[test]
fn training_waits_while_there_is_no_room_for_what_it_says() {
    let mut story = Story::with_limit(1);
    story.attach(&[]);
    story.assign("a#1");
    story.expect(&["prepare a#1"]);
    story.checkpoint("a#1", 1);
    story.expect(&["store a#1 at 1"]);
    assert!(story.session.has_room());
    story.points("a#1", 0..1);
    story.expect(&["say 1: points [0] of a#1", "send 1"]);
    assert!(!story.session.has_room(), "it was sent, which does not mean that it is known");
    // What is not the training's is said all the same.
    story.stored("a#1", 1);
    story.expect(&["say 2: checkpoint of a#1 at 1", "send 2"]);
    story.acknowledge(1);
    story.expect(&["forget 1"]);
    assert!(!story.session.has_room());
    story.acknowledge(2);
    story.expect(&["forget 2"]);
    assert!(story.session.has_room());
}

#[test]
fn an_attempt_that_was_taken_back_does_not_wait_for_room() {
    let mut story = Story::with_limit(1);
    story.attach(&[]);
    story.assign("a#1");
    story.expect(&["prepare a#1"]);
    story.points("a#1", 0..1);
    story.expect(&["say 1: points [0] of a#1", "send 1"]);
    assert!(!story.session.has_room());
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    assert!(story.session.has_room(), "or its end would never be heard of");
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 2: a#1 stopped", "send 2"]);
}

#[test]
fn what_is_sent_keeps_within_the_limits_of_who_receives_it() {
    let mut story = Story::training();
    story.end("a#1", Ended::Failed { reason: "é".repeat(MAX_REASON_BYTES), started: true });
    let _ = story.take();
    let Some(Body::AttemptFailed(failed)) = &story.said[&1].body else { panic!("{:?}", story.said) };
    assert_eq!(failed.reason.len(), MAX_REASON_BYTES);

    let many = (0..MAX_LISTED as u64 + 1).map(|number| StageKey::from_content(&number.to_le_bytes()));
    story.session.set_holds(many.collect());
    story.disconnect();
    let actions = story.session.handle(Event::Connected);
    let [Action::Greet(hello)] = actions.as_slice() else { panic!("{actions:?}") };
    assert!((1..=MAX_LISTED).contains(&hello.holds.len()), "{}", hello.holds.len());
}
