//! A coordinator that is somewhere else each time it starts, found by the file in which it announces itself.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;
use support::process::{Running, wait_for};
use support::{Place, one_at_a_time};

/// The program, in a place, with another data directory than the coordinator's.
fn elsewhere(place: &Place, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.env("WINDTUNNEL_DATA_DIR", place.path("elsewhere")).env("WINDTUNNEL_RENDEZVOUS", place.path("found.json"));
    command
}

/// Starts the coordinator, and returns what it announces.
fn serve(place: &Place) -> (Running, Value) {
    let args = ["serve", "--listen", "127.0.0.1:0", "--announce", "found.json"];
    let log = File::options().create(true).append(true).open(place.path("serve.log")).expect("opened");
    let before = fs::read_to_string(place.path("found.json")).unwrap_or_default();
    let serve = Running::start_to(&mut place.command(&args), log);
    let text = wait_for("the announcement", || {
        fs::read_to_string(place.path("found.json")).ok().filter(|text| *text != before)
    });
    (serve, serde_json::from_str(&text).expect("it is JSON"))
}

#[test]
fn workers_and_people_follow_a_coordinator_to_wherever_it_starts_again() {
    let _turn = one_at_a_time();
    let expected = support::undisturbed();
    let place = Place::with_much_to_train();
    // It waits for the first announcement.
    let log = File::create(place.path("worker.log")).expect("made");
    let mut worker = Running::start_to(&mut elsewhere(&place, &["worker", "--name", "w"]), log);
    let said = || fs::read_to_string(place.path("worker.log")).expect("is written");
    wait_for("the worker to look for it", || said().contains("no coordinator is announced").then_some(()));
    let none = elsewhere(&place, &["list"]).output().expect("starts");
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no coordinator is announced in"));

    let (first, announced) = serve(&place);
    let mode = fs::metadata(place.path("found.json")).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let submitted = elsewhere(&place, &["submit", "smoke.toml"]).output().expect("starts");
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    let steps = || {
        let curves = elsewhere(&place, &["curves", "smoke"]).output().expect("starts");
        String::from_utf8_lossy(&curves.stdout).lines().count()
    };
    wait_for("a step", || (steps() > 1).then_some(()));
    first.kill_group();

    let (mut second, again) = serve(&place);
    assert_ne!(announced["urls"], again["urls"], "another port");
    assert_eq!(announced["worker_token"], again["worker_token"], "the worker is recognised by it");
    let watched = elsewhere(&place, &["watch", "smoke"]).output().expect("starts");
    assert!(watched.status.success(), "{}\n{}", String::from_utf8_lossy(&watched.stderr), said());
    let reported = elsewhere(&place, &["report", "smoke", "--out", "out/smoke"]).output().expect("starts");
    assert!(reported.status.success(), "{}", String::from_utf8_lossy(&reported.stderr));
    assert_eq!(place.points("out/smoke"), expected);
    assert!(!worker.has_ended(), "{}", said());

    // A worker's token is not one for people.
    let token = again["worker_token"].as_str().expect("is a text");
    for text in [said(), fs::read_to_string(place.path("serve.log")).expect("is written")] {
        assert!(!text.contains(token) && !text.contains("wt_"), "a token in a log");
    }
    second.signal("TERM");
    second.wait();
    assert!(!place.path("found.json").exists(), "nobody is to look for it there");
    worker.signal("TERM");
    assert_eq!(worker.wait().code(), Some(75));

    fs::write(place.path("found.json"), again.to_string()).expect("written");
    fs::set_permissions(place.path("found.json"), fs::Permissions::from_mode(0o644)).expect("ours");
    let refused = elsewhere(&place, &["worker", "--name", "w"]).output().expect("starts");
    assert_eq!(refused.status.code(), Some(78), "what others can read is not used");
}

#[test]
fn a_coordinator_announces_itself_again_when_its_file_is_gone_or_names_one_that_has_ended() {
    let place = Place::new();
    let (mut first, announced) = serve(&place);
    let read = || -> Option<Value> { serde_json::from_str(&fs::read_to_string(place.path("found.json")).ok()?).ok() };
    let said = || fs::read_to_string(place.path("serve.log")).expect("is written");
    fs::remove_file(place.path("found.json")).expect("it is there");
    wait_for("the announcement to come back", || (read().as_ref() == Some(&announced)).then_some(()));

    // Another one is given the same file, and both live: that is for people to decide.
    let args = ["serve", "--listen", "127.0.0.1:0", "--announce", "found.json"];
    let other = Running::silent(place.command(&args).env("WINDTUNNEL_DATA_DIR", place.path("other")));
    wait_for("the first one to notice", || said().contains("another coordinator that answers").then_some(()));
    assert!(read().is_some_and(|now| now["urls"] != announced["urls"]));
    other.kill_group();
    wait_for("the announcement to come back", || (read().as_ref() == Some(&announced)).then_some(()));
    assert!(!said().contains("wt_"), "a token in a log");
    first.signal("TERM");
    first.wait();
    assert!(!place.path("found.json").exists());
}
