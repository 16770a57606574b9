//! A whole campaign, undisturbed and disturbed: whatever is killed, the points come out the same, byte for byte.
//!
//! The tests use real processes and real signals, and wait for conditions, never for time to pass.

mod support;

use serde_json::Value;
use support::process::{Running, is_alive, process_with, send, wait_for};
use support::{Place, Ran, one_at_a_time, undisturbed};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Waits for the first checkpoint: something is trained, and much is left to train.
fn wait_for_a_checkpoint(place: &Place) {
    wait_for("a first checkpoint", || {
        let stages = std::fs::read_dir(place.path("data/checkpoints")).ok()?.flatten();
        stages
            .flat_map(|stage| std::fs::read_dir(stage.path()).into_iter().flatten().flatten())
            .find_map(|attempt| attempt.path().join("manifest.json").is_file().then_some(()))
    });
}

/// How the campaign stands in the store: its phase, and stages completed.
fn standing(place: &Place) -> (String, u64) {
    let list = json(&place.run(&["list", "--json"]).expect(0).stdout);
    let campaign = &list["campaigns"][0];
    let phase = campaign["phase"].as_str().expect("has a phase").to_owned();
    (phase, campaign["stages"]["completed"].as_u64().expect("is counted"))
}

/// How often each stage was begun.
fn attempts(place: &Place) -> Value {
    let shown = json(&place.run(&["show", "smoke", "--json"]).expect(0).stdout);
    shown["stages"].as_array().expect("has stages").iter().map(|stage| stage["attempt"].clone()).collect()
}

#[test]
fn a_campaign_runs_and_a_second_run_trains_nothing() {
    let _turn = one_at_a_time();
    let place = Place::with_much_to_train();
    let first = place.run(&["run", "smoke.toml"]).expect(0);
    let points = place.points("out/smoke");
    let mut lines = points.lines();
    let header = lines.next().expect("has a header");
    assert!(header.starts_with("size,n,d,loss,loss_per_byte"), "{header}");
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let loss: f64 = row[3].parse().expect("is a number");
        // Of 300 entries all alike the loss would be 5.7; after a few steps it is less, and not nothing.
        assert!((0.5..5.7).contains(&loss), "{row:?}");
    }
    assert!(place.path("out/smoke/report.html").is_file());
    assert_eq!(standing(&place), ("ended".to_owned(), 12));

    let attempts_before = attempts(&place);
    let second = place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(place.points("out/smoke"), points);
    assert_eq!(attempts(&place), attempts_before, "no stage was begun again");
    assert!(!second.stderr.contains("stages, "), "nothing was to be trained: {}", second.stderr);

    // The same campaign, asked about with nothing running.
    let curves = place.run(&["curves", "smoke"]).expect(0).stdout;
    let steps = curves.lines().count() - 1;
    let trained: u64 = json(&place.run(&["show", "smoke", "--json"]).expect(0).stdout)["stages"]
        .as_array()
        .expect("has stages")
        .iter()
        .map(|stage| stage["end_step"].as_u64().expect("a number") - stage["start_step"].as_u64().expect("a number"))
        .sum();
    assert_eq!(steps as u64, trained, "every step is on a curve once");
    place.run(&["report", "smoke", "--out", "again"]).expect(0);
    assert_eq!(place.points("again"), points);
    assert_eq!(place.run(&["watch", "smoke"]).expect(0).code, Some(0));
    assert_eq!(undisturbed(), points, "another data directory, the same points");
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_points() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let run = Running::silent(&mut place.command(&["run", "smoke.toml"]));
    wait_for_a_checkpoint(&place);
    run.kill_group();
    let (phase, _) = standing(&place);
    assert_eq!(phase, "open", "it was killed in the middle");
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), expected);
}

#[test]
fn a_run_whose_coordinator_alone_is_killed_leaves_no_workers_and_goes_on() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let run = Running::silent(&mut place.command(&["run", "smoke.toml"]));
    wait_for_a_checkpoint(&place);
    let data_dir = place.path("data").display().to_string();
    let worker = process_with(&["worker", &data_dir]).expect("workers run");
    run.signal("KILL");
    // The next run does not wait for the workers of the last one to be gone.
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), expected);
    wait_for("the end of the orphan", || (!is_alive(worker)).then_some(()));
}

#[test]
fn a_worker_that_is_killed_is_replaced() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let mut run = Running::silent(&mut place.command(&["run", "smoke.toml"]));
    // The campaign is known once it is submitted; before that there is nothing to watch.
    wait_for("a coordinator with the campaign", || {
        place.path("data/coordinator.json").is_file().then_some(())?;
        (place.run(&["show", "smoke"]).code == Some(0)).then_some(())
    });
    let (_watch, updates) = Running::piped(&mut place.command(&["watch", "smoke", "--json"]));
    let busy = updates.map(|line| json(&line)).find_map(|update| {
        let workers = update["workers"].as_array().expect("a list").clone();
        workers.into_iter().find(|worker| worker["stage"].is_string())
    });
    let worker = busy.expect("a worker was given a stage")["worker"].as_str().expect("has a name").to_owned();
    let id = process_with(&["--worker-id", &worker]).expect("it runs");
    send("KILL", &id.to_string());
    assert!(run.wait().success());
    assert_eq!(place.points("out/smoke"), expected);
}

#[test]
fn an_interrupted_run_stops_in_order_and_goes_on() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let mut run = Running::start_with_stderr(&mut place.command(&["run", "smoke.toml"]));
    wait_for_a_checkpoint(&place);
    run.signal_group("INT");
    assert_eq!(run.wait().code(), Some(130));
    let said = run.stderr();
    assert!(said.ends_with("stopped; run the same command again to continue\n"), "{said}");
    assert!(!place.path("data/coordinator.json").exists());
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), expected);
}

#[test]
fn serve_a_worker_with_one_device_and_one_with_two_and_submit_give_the_same_points() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let mut serve = place.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let (serve, mut output) = Running::piped(&mut serve);
    let url = json(&output.next().expect("says where it listens"))["socket"].as_str().expect("an address").to_owned();
    let workers = [("one", "flex"), ("two", "flex,flex")].map(|(name, devices)| {
        let dir = place.path(name).display().to_string();
        let args = ["worker", "--coordinator", &url, "--name", name, "--data-dir", &dir, "--device", devices];
        Running::silent(&mut place.command(&args))
    });

    // From a machine with a data directory of its own.
    let elsewhere = place.path("elsewhere").display().to_string();
    let asked = |args: &[&str]| -> Ran {
        let there = ["--coordinator", url.as_str(), "--data-dir", elsewhere.as_str()];
        place.run(&[args, &there].concat()).expect(0)
    };
    let submitted = json(&asked(&["submit", "smoke.toml", "--json"]).stdout);
    assert_eq!(submitted["stages_done"], 0);
    asked(&["watch", "smoke"]);
    asked(&["report", "smoke"]);
    assert_eq!(place.points("out/smoke"), expected);
    let list = json(&asked(&["list", "--json"]).stdout);
    assert_eq!(list["campaigns"][0]["phase"], "ended");

    // Told to go, each ends with its own code.
    for mut worker in workers {
        worker.signal("TERM");
        assert_eq!(worker.wait().code(), Some(75));
    }
    let mut serve = serve;
    serve.signal("TERM");
    assert_eq!(serve.wait().code(), Some(0));
}

#[test]
fn a_cancelled_campaign_goes_on_when_it_is_run_again() {
    let _turn = one_at_a_time();
    let expected = undisturbed();
    let place = Place::with_much_to_train();
    let mut run = Running::silent(&mut place.command(&["run", "smoke.toml"]));
    wait_for_a_checkpoint(&place);
    place.run(&["cancel", "smoke"]).expect(0);
    assert_eq!(run.wait().code(), Some(5), "a cancelled campaign has a code of its own");
    assert_eq!(standing(&place).0, "cancelled");
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(standing(&place).0, "ended");
    assert_eq!(place.points("out/smoke"), expected);
}
