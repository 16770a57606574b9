//! Attempts that are taken back: revoked, because nobody needs them, or refused, because another has them.

use worker::runner::Ended;

use crate::story::{STEPS, Story};

#[test]
fn revoked_while_preparing() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.preparation_stopped("a#1");
    story.expect(&["say 1: a#1 stopped", "send 1"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
}

#[test]
fn revoked_while_the_preparation_fails() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.not_prepared("a#1");
    story.expect(&["say 1: a#1 stopped", "send 1"]);
}

#[test]
fn revoked_while_training() {
    let mut story = Story::training();
    story.points("a#1", 0..1);
    story.expect(&["say 1: points [0] of a#1", "send 1"]);
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    // What was on its way from the training thread counts no more, and the slot is not free before it has stopped.
    story.points("a#1", 1..2);
    story.expect_nothing();
    story.checkpoint("a#1", 2);
    story.expect_nothing();
    story.heartbeat();
    story.expect(&["heartbeat with [a#1], at step 0"]);
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 2: a#1 stopped", "send 2"]);
}

#[test]
fn revoked_while_a_checkpoint_is_on_its_way() {
    let mut story = Story::training();
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.stored("a#1", 2);
    story.expect_nothing();
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 1: a#1 stopped", "send 1"]);
}

#[test]
fn recalled_while_training() {
    let mut story = Story::training();
    story.recall("a#1");
    story.expect(&["release a#1"]);
    // What was trained counts, up to the checkpoint.
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1", "send 1"]);
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.end("a#1", Ended::Released);
    story.expect_nothing();
    story.stored("a#1", 2);
    story.expect(&["say 2: checkpoint of a#1 at 2", "say 3: a#1 stopped", "send 2, 3"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
}

#[test]
fn recalled_while_preparing() {
    let mut story = Story::training();
    story.recall("a#1");
    story.expect(&["release a#1"]);
    story.preparation_stopped("a#1");
    story.expect(&["say 1: a#1 stopped", "send 1"]);
}

#[test]
fn what_is_done_when_it_is_recalled_is_done() {
    let mut story = Story::training();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.complete("a#1");
    story.recall("a#1");
    story.expect_nothing();
    story.stored("a#1", STEPS);
    story.expect(&["say 1: checkpoint of a#1 at 4", "say 2: a#1 completed", "send 1, 2"]);
    // Where the order was under way meanwhile, there is nothing left to stop.
    story.recall("a#1");
    story.expect(&["say 3: a#1 stopped", "send 3"]);
}

#[test]
fn a_recall_may_become_a_revocation() {
    let mut story = Story::training();
    story.recall("a#1");
    story.expect(&["release a#1"]);
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.checkpoint("a#1", 2);
    story.expect_nothing();
    story.recall("a#1");
    story.expect(&["abandon a#1"]);
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 1: a#1 stopped", "send 1"]);
}

#[test]
fn whatever_an_attempt_comes_to_after_its_revocation_is_its_stop() {
    let ends: [fn(&mut Story); 5] = [
        |story| story.complete("a#1"),
        |story| story.end("a#1", Ended::Diverged { step: 2, loss: f64::NAN }),
        |story| story.end("a#1", Ended::Failed { reason: "no memory".to_owned(), started: true }),
        |story| story.end("a#1", Ended::Stopped),
        |story| story.end("a#1", Ended::Released),
    ];
    for end in ends {
        let mut story = Story::training();
        story.revoke("a#1");
        story.expect(&["abandon a#1"]);
        end(&mut story);
        story.expect(&["say 1: a#1 stopped", "send 1"]);
    }
}

#[test]
fn revoked_when_only_its_last_checkpoint_is_on_its_way() {
    let mut story = Story::training();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.complete("a#1");
    story.expect_nothing();
    story.revoke("a#1");
    story.expect(&["say 1: a#1 stopped", "send 1"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
    story.stored("a#1", STEPS);
    story.expect_nothing();
}

#[test]
fn revoked_after_its_end_was_said() {
    let mut story = Story::training();
    story.complete("a#1");
    story.expect(&["say 1: a#1 completed", "send 1"]);
    story.revoke("a#1");
    story.expect(&["say 2: a#1 stopped", "send 2"]);
    story.acknowledge(2);
    story.expect(&["forget 2"]);
    story.revoke("a#1");
    story.expect(&["say 3: a#1 stopped", "send 3"]);
}

#[test]
fn an_attempt_it_never_had_is_confirmed_all_the_same() {
    let mut story = Story::attached();
    story.revoke("a#1");
    story.expect(&["say 1: a#1 stopped", "send 1"]);
    story.refuse("b#1");
    story.expect(&["say 2: b#1 stopped", "send 2"]);
}

#[test]
fn a_revocation_said_twice_is_confirmed_once_when_it_has_stopped() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 1: a#1 stopped", "send 1"]);
}

#[test]
fn a_confirmation_survives_a_broken_connection() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.disconnect();
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 1: a#1 stopped"]);
    story.connect();
    story.expect(&["hello with [a#1]"]);
    story.welcome();
    story.expect(&["configure file:///s", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1"]);
    story.disconnect();
    story.attach(&[]);
}

#[test]
fn a_refusal_drops_what_was_to_be_said_of_the_attempt_and_of_no_other() {
    let mut story = Story::training();
    story.disconnect();
    story.points("a#1", 0..STEPS);
    story.expect(&["say 1: points [0, 1, 2, 3] of a#1"]);
    story.end("a#1", Ended::Failed { reason: "no memory".to_owned(), started: true });
    story.expect(&["say 2: a#1 failed: no memory"]);
    story.connect();
    story.expect(&["hello with [a#1]"]);
    story.welcome();
    story.expect(&["configure file:///s", "send 1, 2"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
    story.points("b#1", 0..1);
    story.expect(&["say 3: points [0] of b#1", "send 3"]);
    // None of it was acknowledged; the next connection gets what is left, under the numbers it had.
    story.refuse("a#1");
    story.expect(&["say 4: a#1 stopped", "send 4"]);
    story.disconnect();
    story.connect();
    story.expect(&["hello with [a#1, b#1]"]);
    story.welcome();
    story.expect(&["configure file:///s", "send 3, 4"]);
}

#[test]
fn a_refusal_while_training_stops_it_first() {
    let mut story = Story::training();
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1", "send 1"]);
    story.refuse("a#1");
    story.expect(&["abandon a#1"]);
    story.disconnect();
    story.attach(&["a#1"]); // Nothing is left to be said of it, and it is still there.
    story.points("a#1", 2..3);
    story.expect_nothing();
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 2: a#1 stopped", "send 2"]);
}

#[test]
fn an_assignment_waits_until_what_was_revoked_has_stopped() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.assign("b#1");
    story.expect_nothing();
    story.assign("b#1");
    story.expect_nothing(); // It was assigned twice, and is held once.
    story.disconnect();
    story.attach(&["a#1", "b#1"]);
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 1: a#1 stopped", "prepare b#1", "send 1"]);
    story.complete("b#1");
    story.expect(&["say 2: b#1 completed", "send 2"]);
}

#[test]
fn an_assignment_that_waits_can_be_revoked_itself() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.assign("b#1");
    story.expect_nothing();
    story.revoke("b#1");
    story.expect(&["say 1: b#1 stopped", "send 1"]);
    story.assign("c#1");
    story.expect_nothing();
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 2: a#1 stopped", "prepare c#1", "send 2"]);
}

#[test]
fn one_assignment_can_wait_and_no_more() {
    let mut story = Story::training();
    let in_hand = story.key("a#1");
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.assign("b#1");
    story.expect_nothing();
    story.assign("c#1");
    story.expect(&[format!("say 1: c#1 did not start: the worker is busy with {in_hand}"), "send 1".to_owned()]);
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 2: a#1 stopped", "prepare b#1", "send 2"]);
}
