//! A stage from its assignment to the acknowledgement of its end, with and without a connection.

use vocabulary::WorkerId;
use worker::session::Received;

use crate::story::{STEPS, Story};

#[test]
fn a_stage_from_its_assignment_to_its_end() {
    let mut story = Story::new();
    story.connect();
    story.expect(&["hello with []"]);
    story.welcome();
    story.expect(&["configure file:///s"]);
    story.assign("a#1");
    story.expect(&["prepare a#1"]);
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1", "send 1"]);
    story.acknowledge(1);
    story.expect(&["forget 1"]);
    story.checkpoint("a#1", 2);
    story.expect(&["store a#1 at 2"]);
    story.points("a#1", 2..4);
    story.expect(&["say 2: points [2, 3] of a#1", "send 2"]);
    story.stored("a#1", 2);
    story.expect(&["say 3: checkpoint of a#1 at 2", "send 3"]);
    story.checkpoint("a#1", 4);
    story.expect(&["store a#1 at 4, its last"]);
    story.complete("a#1");
    story.expect_nothing(); // Its last checkpoint is not in the storage yet.
    story.stored("a#1", 4);
    story.expect(&["say 4: checkpoint of a#1 at 4", "say 5: a#1 completed", "send 4, 5"]);
    story.heartbeat();
    story.expect(&["heartbeat with [a#1]"]);
    story.acknowledge(5);
    story.expect(&["forget 5"]);
    story.heartbeat();
    story.expect(&["heartbeat with []"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
}

#[test]
fn a_heartbeat_says_how_far_it_is_and_none_is_said_without_a_welcome() {
    let mut story = Story::new();
    story.heartbeat();
    story.expect_nothing();
    story.connect();
    story.expect(&["hello with []"]);
    story.heartbeat();
    story.expect_nothing();
    story.welcome();
    story.expect(&["configure file:///s"]);
    story.assign("a#1");
    story.expect(&["prepare a#1"]);
    story.heartbeat();
    story.expect(&["heartbeat with [a#1]"]);
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1", "send 1"]);
    story.heartbeat();
    story.expect(&["heartbeat with [a#1], at step 1"]);
}

/// What happens to the one stage of the story below. The assignment needs a connection, the rest does not.
const LIFE: [fn(&mut Story); 8] = [
    |story| story.assign("a#1"),
    |story| story.points("a#1", 0..2),
    |story| story.checkpoint("a#1", 2),
    |story| story.points("a#1", 2..STEPS),
    |story| story.stored("a#1", 2),
    |story| story.checkpoint("a#1", STEPS),
    |story| story.complete("a#1"),
    |story| story.stored("a#1", STEPS),
];
const REPORTS: u64 = 5;

/// The connection breaks after each event, stays away for each number of events, and at each place up to which the
/// reports were acknowledged.
#[test]
fn wherever_the_connection_breaks_everything_unacknowledged_is_said_again_in_order() {
    for breaks_after in 1..=LIFE.len() {
        for back_after in breaks_after..=LIFE.len() {
            for acknowledged in 0..=said_after(breaks_after) {
                break_once(breaks_after, back_after, acknowledged);
            }
        }
    }
}

/// How many reports there are after so many events.
fn said_after(events: usize) -> u64 {
    let mut story = Story::attached();
    for event in &LIFE[..events] {
        event(&mut story);
        story.take();
    }
    story.said.len() as u64
}

fn break_once(breaks_after: usize, back_after: usize, acknowledged: u64) {
    let place = format!("broken after {breaks_after}, back after {back_after}, acknowledged {acknowledged}");
    let mut story = Story::attached();
    for event in &LIFE[..breaks_after] {
        event(&mut story);
        story.take();
    }
    if acknowledged > 0 {
        story.acknowledge(acknowledged);
        story.expect(&[format!("forget {acknowledged}")]);
    }
    story.disconnect();
    story.expect_nothing();
    for event in &LIFE[breaks_after..back_after] {
        event(&mut story);
        let wanted = story.take();
        assert!(wanted.iter().all(|action| !action.starts_with("send")), "{place}: {wanted:?}");
    }

    let said = story.said.len() as u64;
    let is_over = acknowledged == REPORTS;
    story.connect();
    story.expect(&[if is_over { "hello with []" } else { "hello with [a#1]" }]);
    story.welcome();
    let again: Vec<_> = (acknowledged + 1..=said).map(|number| number.to_string()).collect();
    let mut expected = vec!["configure file:///s".to_owned()];
    expected.extend((!again.is_empty()).then(|| format!("send {}", again.join(", "))));
    story.expect(&expected);

    // The coordinator may say again what it has said before it hears all of it.
    if !is_over {
        LIFE[0](&mut story);
        story.expect_nothing();
    }
    for event in &LIFE[back_after..] {
        event(&mut story);
        story.take();
    }
    assert_eq!(story.said.keys().copied().collect::<Vec<_>>(), (1..=REPORTS).collect::<Vec<_>>(), "{place}");
    story.acknowledge(REPORTS);
    story.expect(&[format!("forget {REPORTS}")]);
    story.disconnect();
    story.attach(&[]);
}

#[test]
fn a_connection_that_breaks_before_the_welcome_changes_nothing() {
    let mut story = Story::training();
    story.points("a#1", 0..2);
    story.expect(&["say 1: points [0, 1] of a#1", "send 1"]);
    for _ in 0..2 {
        story.disconnect();
        story.expect_nothing();
        story.connect();
        story.expect(&["hello with [a#1]"]);
    }
    story.points("a#1", 2..3);
    story.expect(&["say 2: points [2] of a#1"]);
    story.welcome();
    story.expect(&["configure file:///s", "send 1, 2"]);
}

#[test]
fn an_acknowledgement_from_before_the_break_counts() {
    let mut story = Story::training();
    story.points("a#1", 0..1);
    story.expect(&["say 1: points [0] of a#1", "send 1"]);
    story.points("a#1", 1..2);
    story.expect(&["say 2: points [1] of a#1", "send 2"]);
    story.disconnect();
    story.connect();
    story.expect(&["hello with [a#1]"]);
    story.acknowledge(1);
    story.expect(&["forget 1"]);
    story.welcome();
    story.expect(&["configure file:///s", "send 2"]);
    // An older one that comes late takes nothing back.
    story.acknowledge(1);
    story.expect(&["forget 1"]);
    story.points("a#1", 2..3);
    story.expect(&["say 3: points [2] of a#1", "send 3"]);
}

#[test]
fn an_assignment_that_comes_again_is_ignored() {
    let mut story = Story::training();
    story.assign("a#1");
    story.expect_nothing();
    story.points("a#1", 0..STEPS);
    story.expect(&["say 1: points [0, 1, 2, 3] of a#1", "send 1"]);
    story.assign("a#1");
    story.expect_nothing();
    story.checkpoint("a#1", STEPS);
    story.expect(&["store a#1 at 4, its last"]);
    story.complete("a#1");
    story.assign("a#1");
    story.expect_nothing();
    story.stored("a#1", STEPS);
    story.expect(&["say 2: checkpoint of a#1 at 4", "say 3: a#1 completed", "send 2, 3"]);
    story.assign("a#1");
    story.expect_nothing();
    // Another attempt at the stage is another assignment.
    story.assign("a#2");
    story.expect(&["prepare a#2"]);
}

#[test]
fn an_assignment_beside_the_one_in_hand_is_turned_down() {
    let mut story = Story::training();
    let in_hand = story.key("a#1");
    story.assign("b#1");
    story.expect(&[format!("say 1: b#1 did not start: the worker is busy with {in_hand}"), "send 1".to_owned()]);
    story.points("a#1", 0..1);
    story.expect(&["say 2: points [0] of a#1", "send 2"]);
}

#[test]
fn an_assignment_that_makes_no_sense_is_turned_down() {
    let mut story = Story::attached();
    story.receive(Received::Unusable { key: story.key("a#1"), reason: "no stage".to_owned() });
    story.expect(&["say 1: a#1 did not start: no stage", "send 1"]);
    story.assign("b#1");
    story.expect(&["prepare b#1"]);
}

#[test]
fn a_hello_says_what_is_at_hand() {
    let mut story = Story::new();
    let key = story.stage("a").key;
    story.session.set_holds(vec![key]);
    story.connect();
    story.expect(&[format!("hello with [], holding [{}]", key.short())]);
}

#[test]
fn those_before_it_are_named_until_it_is_welcome() {
    let mut story = Story::succeeding(vec![WorkerId::from_content(b"first"), WorkerId::from_content(b"second")]);
    story.connect();
    story.expect(&["hello in the place of 2 with []"]);
    // For all it knows the hello never came through.
    story.disconnect();
    story.expect_nothing();
    story.connect();
    story.expect(&["hello in the place of 2 with []"]);
    story.welcome();
    story.expect(&["forget predecessors", "configure file:///s"]);
    story.disconnect();
    story.expect_nothing();
    story.attach(&[]);
}
