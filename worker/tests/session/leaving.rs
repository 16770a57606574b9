//! A worker that has to go: it hands back what it has, and goes when that is known.

use worker::runner::Ended;

use crate::story::Story;

#[test]
fn without_an_attempt_it_goes_at_once() {
    let mut story = Story::attached();
    story.leave();
    story.expect(&["depart"]);
}

#[test]
fn it_goes_at_once_without_a_connection_too_if_nothing_is_to_be_said() {
    let mut story = Story::new();
    story.leave();
    story.expect(&["depart"]);
}

#[test]
fn what_is_not_acknowledged_keeps_it() {
    let mut story = Story::training();
    story.complete("a#1");
    story.expect(&["say 1: a#1 completed", "send 1"]);
    story.leave();
    story.expect_nothing();
    story.disconnect();
    story.expect_nothing();
    story.connect();
    story.expect(&["last hello with [a#1]"]);
    story.welcome();
    story.expect(&["configure file:///s", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1", "depart"]);
}

#[test]
fn an_attempt_is_handed_back_with_a_checkpoint() {
    let mut story = Story::training();
    story.leave();
    story.expect(&["release a#1"]);
    story.leave();
    story.expect_nothing(); // It knows.
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1", "send 1"]);
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.end("a#1", Ended::Released);
    story.expect_nothing();
    story.stored("a#1", 2);
    story.expect(&["say 2: checkpoint of a#1 at 2", "say 3: a#1 released", "send 2, 3"]);
    story.acknowledge(2);
    story.expect(&["forget 2"]);
    story.acknowledge(3);
    story.expect(&["forget 3", "depart"]);
}

#[test]
fn an_attempt_is_handed_back_without_the_checkpoint_that_was_lost() {
    let mut story = Story::training();
    story.leave();
    story.expect(&["release a#1"]);
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.end("a#1", Ended::Released);
    story.expect_nothing();
    story.lose("a#1", 2);
    story.expect(&["say 1: a#1 released", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1", "depart"]);
}

#[test]
fn an_attempt_in_preparation_is_handed_back() {
    let mut story = Story::training();
    story.leave();
    story.expect(&["release a#1"]);
    story.preparation_stopped("a#1");
    story.expect(&["say 1: a#1 released", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1", "depart"]);
}

#[test]
fn an_attempt_that_ends_before_it_is_asked_to_counts_as_what_it_came_to() {
    let mut story = Story::training();
    story.leave();
    story.expect(&["release a#1"]);
    story.complete("a#1");
    story.expect(&["say 1: a#1 completed", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1", "depart"]);
}

#[test]
fn an_attempt_that_is_over_but_for_its_checkpoint_is_not_asked_to_stop() {
    let mut story = Story::training();
    story.checkpoint("a#1", 4);
    story.expect(&["store a#1 at 4, its last"]);
    story.complete("a#1");
    story.leave();
    story.expect_nothing();
    story.stored("a#1", 4);
    story.expect(&["say 1: checkpoint of a#1 at 4", "say 2: a#1 completed", "send 1, 2"]);
    story.acknowledge(2);
    story.expect(&["forget 2", "depart"]);
}

#[test]
fn what_is_assigned_to_a_worker_that_leaves_is_handed_back() {
    let mut story = Story::training();
    story.leave();
    story.expect(&["release a#1"]);
    story.end("a#1", Ended::Released);
    story.expect(&["say 1: a#1 released", "send 1"]);
    story.assign("b#1");
    story.expect(&["say 2: b#1 released", "send 2"]);
    story.acknowledge(1);
    story.expect(&["forget 1"]);
    story.acknowledge(2);
    story.expect(&["forget 2", "depart"]);
}

#[test]
fn a_worker_that_its_pool_asks_to_go_hands_back_what_it_has_and_departs() {
    let mut story = Story::training();
    story.dismiss();
    story.expect(&["release a#1"]);
    story.end("a#1", Ended::Released);
    story.expect(&["say 1: a#1 released", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1", "depart"]);
}

#[test]
fn what_was_revoked_is_confirmed_and_what_waits_for_it_is_handed_back() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.assign("b#1");
    story.expect_nothing();
    story.leave();
    story.expect(&["release a#1"]); // Abandoning outranks it.
    story.end("a#1", Ended::Stopped);
    story.expect(&["say 1: a#1 stopped", "say 2: b#1 released", "send 1, 2"]);
    story.acknowledge(2);
    story.expect(&["forget 2", "depart"]);
}

#[test]
fn a_refusal_of_all_that_was_to_be_said_still_has_to_be_confirmed() {
    let mut story = Story::training();
    story.complete("a#1");
    story.expect(&["say 1: a#1 completed", "send 1"]);
    story.leave();
    story.expect_nothing();
    story.refuse("a#1");
    story.expect(&["say 2: a#1 stopped", "send 2"]);
    story.acknowledge(2);
    story.expect(&["forget 2", "depart"]);
}

#[test]
fn a_worker_that_gives_up_leaves_behind_what_is_not_acknowledged() {
    let mut story = Story::training();
    story.disconnect();
    story.give_up();
    story.expect(&["release a#1"]);
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1"]);
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.end("a#1", Ended::Released);
    story.expect_nothing();
    story.stored("a#1", 2);
    story.expect(&["say 2: checkpoint of a#1 at 2", "say 3: a#1 released", "depart"]);
}

#[test]
fn a_worker_that_is_welcome_again_while_it_gives_up_says_what_it_has() {
    let mut story = Story::training();
    story.disconnect();
    story.give_up();
    story.expect(&["release a#1"]);
    story.connect();
    story.expect(&["last hello with [a#1]"]); // It is given nothing more.
    story.welcome();
    story.expect(&["configure file:///s"]);
    story.end("a#1", Ended::Released);
    story.expect(&["say 1: a#1 released", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1", "depart"]);
}

#[test]
fn an_attempt_that_hangs_is_handed_back_once_its_checkpoints_are_stored() {
    let mut story = Story::training();
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.stall();
    story.expect_nothing();
    story.stored("a#1", 2);
    story.expect(&["say 1: checkpoint of a#1 at 2", "say 2: a#1 released", "send 1, 2"]);
    story.assign("b#1");
    story.expect(&["say 3: b#1 released", "send 3"]);
    story.acknowledge(3);
    story.expect(&["forget 3", "depart"]);
}

#[test]
fn a_revoked_attempt_that_hangs_is_not_said_to_have_stopped() {
    let mut story = Story::training();
    story.revoke("a#1");
    story.expect(&["abandon a#1"]);
    story.stall();
    story.expect(&["depart"]);
}
