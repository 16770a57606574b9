//! Campaigns that share workers: each gets its part, whatever the others ask for.

use vocabulary::Plan;

use crate::scenario::Scenario;
use crate::support::plan;

/// `count` stages of so many steps, called `NAME 0`, `NAME 1` and so on.
fn many(name: &str, count: usize, steps: u64) -> Plan {
    let labels: Vec<String> = (0..count).map(|number| format!("{name} {number}")).collect();
    plan(name, &labels.iter().map(|label| (label.as_str(), "", steps)).collect::<Vec<_>>())
}

/// The one worker completes what it has `times` times; returns the campaigns of what it was given, in order.
fn given(story: &mut Scenario, first: &str, times: usize) -> Vec<String> {
    let mut running = first.to_owned();
    let mut given = Vec::new();
    for _ in 0..times {
        let label = running.split('#').next().unwrap_or_default().to_owned();
        let end = story.end_of(&label);
        story.checkpoint("w1", &running, end);
        story.take();
        story.complete("w1", &running);
        let effects = story.take();
        let started = effects.iter().find_map(|effect| effect.strip_prefix("started ")?.strip_suffix(" on w1"));
        let Some(started) = started else { break };
        given.push(started.split(' ').next().unwrap_or_default().to_owned());
        running = started.to_owned();
    }
    given
}

fn share(given: &[String], of: &str) -> usize {
    given.iter().filter(|name| *name == of).count()
}

#[test]
fn a_small_campaign_beside_a_large_one_gets_its_share_at_once() {
    let mut story = Scenario::with_one_worker(&many("big", 200, 50));
    let before = given(&mut story, "big 0#1", 50);
    assert_eq!(share(&before, "big"), 50);
    let running = story.running_on("w1");
    // Its stages are shorter, so by the critical path alone it would be last.
    story.submit(&many("wee", 20, 10));
    story.expect(&["accepted wee"]);
    let now = given(&mut story, &running, 30);
    assert_eq!(now[0], "wee", "{now:?}");
    // Five of its stages cost what one of the other does.
    assert_eq!((share(&now, "wee"), share(&now, "big")), (20, 10), "{now:?}");
    let longest = now.split(|name| name == "wee").map(<[_]>::len).max();
    assert!(share(&now[..12], "wee") >= 9 && share(&now[..12], "big") >= 1, "{now:?}: {longest:?}");
}

#[test]
fn shares_go_by_weight() {
    let mut story = Scenario::with_one_worker(&many("one", 100, 10));
    story.submit(&many("three", 100, 10));
    story.expect(&["accepted three"]);
    story.weigh("three", 3);
    story.expect(&["three has weight 3"]);
    story.weigh("three", 3);
    story.expect_nothing();
    let given = given(&mut story, "one 0#1", 80);
    let (three, one) = (share(&given, "three"), share(&given, "one"));
    assert!((59..=61).contains(&three) && (19..=21).contains(&one), "{three} and {one}");
    // Nobody waits longer than its part says.
    assert!(given.split(|name| name == "one").all(|between| between.len() <= 4), "{given:?}");
    story.restart();
    assert_eq!(story.weight("three"), 3);
}

#[test]
fn a_campaign_that_had_nothing_to_do_has_saved_nothing_up() {
    let mut story = Scenario::with_one_worker(&many("busy", 100, 10));
    story.submit(&many("idle", 2, 10));
    story.expect(&["accepted idle"]);
    let before = given(&mut story, "busy 0#1", 40);
    assert_eq!(share(&before, "idle"), 2);
    let running = story.running_on("w1");
    story.grow("idle", &many("idle", 30, 10));
    story.take();
    let now = given(&mut story, &running, 20);
    assert_eq!((share(&now, "idle"), share(&now, "busy")), (10, 10), "{now:?}");
}

#[test]
fn an_attempt_that_comes_to_nothing_costs_no_share() {
    let mut story = Scenario::with_one_worker(&many("one", 50, 10));
    story.submit(&many("other", 50, 10));
    story.expect(&["accepted other"]);
    // Whatever worker `bad` is given fails at once.
    story.join("bad", &[]);
    let mut effects = story.take();
    let mut failed = [0, 0];
    for _ in 0..20 {
        let started = effects.iter().find_map(|effect| effect.strip_prefix("started ")?.strip_suffix(" on bad"));
        let Some(started) = started.map(str::to_owned) else { break };
        failed[usize::from(started.starts_with("other"))] += 1;
        story.storage_fails("bad", &started);
        story.take();
        story.wait(4);
        effects = story.take();
        story.heartbeat("w1", &["one 0#1"]);
        effects.extend(story.take());
        story.heartbeat("bad", &[]);
        effects.extend(story.take());
    }
    assert!(failed[0] + failed[1] > 10, "{failed:?}");
    let now = given(&mut story, "one 0#1", 40);
    let (one, other) = (share(&now, "one"), share(&now, "other"));
    assert!(one.abs_diff(other) <= 2, "{one} and {other}");
}
