//! A worker killed while its coordinator is away: what it had on its disk is delivered by the worker that comes next.

mod support;

use std::fs::{self, File};

use serde_json::Value;
use support::process::{Running, wait_for};
use support::{Place, one_at_a_time, undisturbed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Whether the worker's reports on its disk include the result of a stage.
fn has_a_result_on_disk(place: &Place) -> bool {
    let outbox = place.path("worker/workers/w/outbox");
    let files = fs::read_dir(outbox).into_iter().flatten().flatten();
    let name = b"validation_loss".as_slice();
    files.filter_map(|file| fs::read(file.path()).ok()).any(|file| file.windows(name.len()).any(|part| part == name))
}

#[test]
fn a_stage_that_was_finished_while_nobody_listened_is_not_trained_again() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let log = |name: &str| File::options().create(true).append(true).open(place.path(name)).expect("made");
    let serve = || {
        let args = ["--log", "info", "serve", "--lease", "600", "--listen", "127.0.0.1:0"];
        Running::start_to(&mut place.command(&args), log("serve.log"))
    };
    let url = format!("unix:{}", place.path("data/coordinator.sock").display());
    let elsewhere = place.path("worker").display().to_string();
    let worker = |url: &str| {
        let args = ["worker", "--coordinator", url, "--name", "w", "--data-dir", &elsewhere];
        Running::start_to(&mut place.command(&args), log("worker.log"))
    };

    let first = serve();
    wait_for("a coordinator", || place.path("data/coordinator.json").exists().then_some(()));
    place.run(&["submit", "smoke.toml"]).expect(0);
    let killed = worker(&url);
    wait_for("a step", || (place.run(&["curves", "smoke"]).stdout.lines().count() > 1).then_some(()));
    first.kill_group();
    wait_for("a stage that is finished", || has_a_result_on_disk(&place).then_some(()));
    killed.kill_group();

    let _second = serve();
    let _worker = worker(&url);
    let asked = |args: &[&str]| place.run(&[args, &["--coordinator", &url]].concat());
    wait_for("the second coordinator", || (asked(&["list"]).code == Some(0)).then_some(()));
    asked(&["watch", "smoke"]).expect(0);
    asked(&["report", "smoke"]).expect(0);
    assert_eq!(place.points("out/smoke"), expected);
    let shown = json(&asked(&["show", "smoke", "--json"]).expect(0).stdout);
    let attempts: Vec<_> =
        shown["stages"].as_array().expect("has stages").iter().map(|stage| &stage["attempt"]).collect();
    assert!(attempts.iter().all(|attempt| **attempt == 1), "{attempts:?}");
    let said = fs::read_to_string(place.path("serve.log")).expect("it is written");
    assert!(!said.contains("a curve is cut"), "no step was trained twice");
    let said = fs::read_to_string(place.path("worker.log")).expect("it is written");
    assert!(said.contains("delivering what an earlier process left"), "{said}");
}
