//! A campaign that records dynamics: its losses equal those without recording, a kill does not change the record, and the
//! checkpoints along a trial can be compared.

mod support;

use serde_json::Value;
use support::process::{Running, wait_for};
use support::{Place, one_at_a_time, smoke_recipe, undisturbed};

const RUN: [&str; 4] = ["run", "smoke.toml", "--checkpoint-interval", "0.1"];

/// As [`Place::with_much_to_train`], recording something.
fn recording(stages: &str) -> Place {
    let place = Place::with_much_to_train();
    let recipe = std::fs::read_to_string(place.path("smoke.toml")).expect("is there");
    place.write("smoke.toml", &format!("{recipe}\n[record]\ndynamics = \"{stages}\"\n"));
    place
}

fn rows(csv: &str) -> Vec<Vec<String>> {
    csv.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn losses(points: &str) -> Vec<String> {
    rows(points).into_iter().map(|row| row[3].clone()).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_kill_in_the_middle_changes_nothing_of_the_record() {
    let _turn = one_at_a_time();
    let whole = recording("all");
    whole.run(&RUN).expect(0);
    let points = whole.points("out/smoke");
    assert_eq!(losses(&points), losses(undisturbed()), "recording leaves no trace in the losses");
    let curves = whole.run(&["curves", "smoke"]).expect(0).stdout;

    let killed = recording("all");
    let run = Running::silent(&mut killed.command(&RUN));
    wait_for("a few checkpoints", || {
        let stages = std::fs::read_dir(killed.path("data/checkpoints")).ok()?.flatten();
        let attempts = stages.flat_map(|stage| std::fs::read_dir(stage.path()).into_iter().flatten().flatten());
        (attempts.filter(|attempt| attempt.path().join("manifest.json").is_file()).count() >= 3).then_some(())
    });
    run.kill_group();
    killed.run(&RUN).expect(0);
    assert_eq!(killed.points("out/smoke"), points);
    assert_eq!(killed.run(&["curves", "smoke"]).expect(0).stdout, curves);
    let verified = killed.run(&["verify", "smoke"]).expect(0).stdout;
    assert!(verified.contains("identical"), "{verified}");

    let rows = rows(&curves);
    let column = |name: &str| rows[0].iter().position(|column| column == name).expect("is a column");
    let (step, cosine, update) = (column("step"), column("gradient_cosine"), column("largest_update_qkv"));
    for row in &rows[1..] {
        // The first step of a stage is compared with the last one of its parent, which recorded too.
        assert_eq!(row[cosine].is_empty(), row[step] == "0", "{row:?}");
        assert!(row[update].parse::<f64>().expect("a number") > 0.0, "{row:?}");
        assert!(row[column("largest_update_head")].is_empty(), "the head is the embedding");
    }
    let report = std::fs::read_to_string(killed.path("out/smoke/report.html")).expect("is written");
    assert!(report.contains("id=\"dynamics\""));
}

#[test]
fn decays_are_recorded_on_a_trunk_that_was_trained_without() {
    let _turn = one_at_a_time();
    let place = Place::new();
    place.run(&["run", "smoke.toml"]).expect(0);
    let plain = place.run(&["curves", "smoke"]).expect(0).stdout;
    assert!(plain.starts_with("stage,step,loss,grad_norm,learning_rate\n"), "{plain}");
    place.write("smoke.toml", &format!("{}\n[record]\ndynamics = \"decay\"\n", smoke_recipe()));
    place.run(&["run", "smoke.toml"]).expect(0);
    let shown = json(&place.run(&["show", "smoke", "--json"]).expect(0).stdout);
    let recorded = json(&place.run(&["curves", "smoke", "--json"]).expect(0).stdout);
    for stage in shown["plan"]["stages"].as_array().expect("has stages") {
        let curves = recorded["stages"].as_array().expect("a list");
        let points = &curves.iter().find(|curve| curve["stage"] == stage["key"]).expect("has a curve")["points"];
        let points = points.as_array().expect("a list");
        let is_decay = stage["role"] == "decay";
        assert!(points.iter().all(|point| point["dynamics"].is_object() == is_decay), "{}", stage["key"]);
        assert_eq!(plain.contains(stage["key"].as_str().expect("a text")), !is_decay, "the trunk is shared");
        if is_decay {
            assert!(points[0]["dynamics"]["consecutive"].is_null() && points[1]["dynamics"]["consecutive"].is_object());
        }
    }

    let trial = &shown["plan"]["trials"][1];
    let path: Vec<&str> = trial["path"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    let along = format!("smoke/{}", trial["id"].as_str().expect("a text"));
    let found = json(&place.run(&["checkpoints", "diff", "--along", &along, "--json"]).expect(0).stdout);
    let differences = found["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), path.len() - 1, "{found:#}");
    let (last, pair) = (&differences[differences.len() - 1], [path[path.len() - 2], path[path.len() - 1]]);
    let between = json(&place.run(&["checkpoints", "diff", pair[0], pair[1], "--json"]).expect(0).stdout);
    assert_eq!(between["parameters"], last["parameters"]);
    assert!(
        between["parameters"].as_array().expect("a list").iter().all(|change| change["largest"].as_f64() > Some(0.0))
    );
    let table = place.run(&["checkpoints", "diff", "--along", &along]).expect(0).stdout;
    assert_eq!(table.lines().count(), path.len() + 1, "{table}");

    // An exported model is the checkpoint it was made of.
    place.run(&["export", pair[1], "--format", "granite", "--out", "exported"]).expect(0);
    let same = json(&place.run(&["checkpoints", "diff", pair[1], "exported", "--json"]).expect(0).stdout);
    assert!(same["parameters"].as_array().expect("a list").iter().all(|change| change["largest"] == 0.0), "{same:#}");
    let two = place.run(&["checkpoints", "diff", "--along", "smoke"]).expect(2).stderr;
    assert!(two.contains("6 trials"), "{two}");
}
