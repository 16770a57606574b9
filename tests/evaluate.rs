//! Evaluations end to end: a campaign that has ended is measured on other text, and nothing of it is trained again.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::process::{Running, wait_for};
use support::{Place, one_at_a_time};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A place in which the smoke recipe was run, with another text beside it.
fn trained() -> Place {
    let place = Place::new();
    place.run(&["run", "smoke.toml"]).expect(0);
    std::fs::create_dir(place.path("news")).expect("made");
    for index in 0..12 {
        let text = format!("News {index}. The slow wind holds a quick river under the small light. ").repeat(40);
        place.write(&format!("news/{index}.md"), &text);
    }
    place
}

fn shown(place: &Place) -> Value {
    json(&place.run(&["show", "smoke", "--json"]).expect(0).stdout)
}

/// How often each node of a kind was begun.
fn attempts(shown: &Value, of: &str) -> Vec<u64> {
    let nodes = shown[of].as_array().cloned().unwrap_or_default();
    nodes.iter().map(|node| node["attempt"].as_u64().unwrap_or(0)).collect()
}

/// The points, by the names of the columns.
fn rows(points: &str) -> Vec<BTreeMap<&str, &str>> {
    let names: Vec<&str> = points.lines().next().expect("has a header").split(',').collect();
    points.lines().skip(1).map(|line| names.iter().copied().zip(line.split(',')).collect()).collect()
}

#[test]
fn a_campaign_that_has_ended_is_evaluated_on_other_text_and_trains_nothing() {
    let _turn = one_at_a_time();
    let place = trained();
    let before = place.points("out/smoke");
    let ran = place.run(&["evaluate", "smoke", "--text", "news"]).expect(0);
    assert!(ran.stderr.contains("to evaluate: 6 stages"), "{}", ran.stderr);
    let (points, shown) = (place.points("out/smoke"), shown(&place));
    assert_eq!(attempts(&shown, "stages"), [1; 12], "nothing is trained again");
    assert_eq!(attempts(&shown, "evaluations"), [1; 6]);
    assert_eq!(shown["campaign"]["phase"], "ended");
    assert_eq!(shown["campaign"]["evaluations"]["completed"], 6);

    // What was there stays to the byte, and the losses on the other text stand beside it.
    let (old, new) = (before.lines(), points.lines());
    for (old, new) in old.zip(new) {
        assert!(new.starts_with(&format!("{old},")), "{new}");
    }
    let evaluations = shown["evaluations"].as_array().expect("has some");
    for row in rows(&points) {
        let evaluation = evaluations.iter().find(|evaluation| evaluation["stage"] == row["stage"]);
        let evaluation = evaluation.unwrap_or_else(|| panic!("{} is not evaluated", row["stage"]));
        for (column, field) in [("news_loss", "validation_loss"), ("news_loss_per_byte", "validation_loss_per_byte")] {
            assert_eq!(row[column].parse::<f64>().ok(), evaluation[field].as_f64(), "{column}");
        }
    }
    let said = place.run(&["show", "smoke"]).expect(0).stdout;
    assert!(said.contains("6 evaluations: 6 completed") && said.contains(" news "), "{said}");
    let report = std::fs::read_to_string(place.path("out/smoke/report.html")).expect("it was written");
    assert!(report.contains("Evaluations") && report.contains("news"), "the report has a table of them");
    let fitted = json(&place.run(&["fit", "smoke", "--set", "news", "--json"]).expect(0).stdout);
    let usual = json(&place.run(&["fit", "smoke", "--json"]).expect(0).stdout);
    assert_ne!(fitted["n_points"].as_u64().or(fitted["points"].as_u64()), Some(0));
    assert_ne!(fitted, usual, "it is the law of another loss");

    // Again there is nothing to do.
    let again = place.run(&["evaluate", "smoke", "--text", "news"]).expect(0);
    assert!(again.stderr.contains("nothing to evaluate on `news`"), "{}", again.stderr);
    assert_eq!(place.points("out/smoke"), points);
    assert_eq!(self::shown(&place)["evaluations"], shown["evaluations"]);
    // And the recipe again trains nothing, and keeps them.
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), points);
    let verified = json(&place.run(&["verify", "smoke", "--json"]).expect(0).stdout);
    assert_eq!(verified["evaluations"].as_array().map(Vec::len), Some(1), "one is done again");
    place.run(&["doctor"]).expect(0);
}

#[test]
fn on_its_own_text_an_evaluation_is_the_loss_of_the_stage_to_the_bit() {
    let _turn = one_at_a_time();
    let place = trained();
    let tokens = shown(&place)["plan"]["stages"][0]["spec"]["validation_tokens"].to_string();
    place.run(&["evaluate", "smoke", "--tokens", &tokens]).expect(0);
    let points = place.points("out/smoke");
    for row in rows(&points) {
        assert_eq!(row["held-out_loss"], row["loss"]);
        assert_eq!(row["held-out_loss_per_byte"], row["loss_per_byte"]);
    }
}

#[test]
fn a_dry_run_says_what_it_would_evaluate_and_adds_nothing() {
    let _turn = one_at_a_time();
    let place = trained();
    let said = place.run(&["evaluate", "smoke", "--text", "news", "--dry-run"]).expect(0).stdout;
    assert!(said.contains("on `news`") && said.contains("to evaluate: 6 stages"), "{said}");
    assert_eq!(shown(&place).get("evaluations"), None);
    let trunk = shown(&place)["stages"][0]["key"].as_str().expect("a key").to_owned();
    let one = ["evaluate", "smoke", "--text", "news", "--stages", &trunk, "--name", "n", "--dry-run", "--json"];
    let said = json(&place.run(&one).expect(0).stdout);
    assert_eq!(said["evaluations"].as_array().map(Vec::len), Some(1));
    assert_eq!(said["evaluations"][0]["stage"], trunk.as_str());
}

#[test]
fn what_cannot_be_evaluated_is_refused_in_a_line() {
    let _turn = one_at_a_time();
    let place = trained();
    for (args, said) in [
        (&["nobody", "--text", "news"][..], "no campaign `nobody`"),
        (&["smoke", "--text", "nothing-here"], "nothing-here"),
        (&["smoke", "--text", "news", "--name", "a/b"], "cannot be the name of a text"),
        (&["smoke", "--text", "news", "--tokens", "100m"], "tokens held out"),
        (&["smoke", "--text", "news", "--stages", "stage_zz"], "no stage of the campaign"),
    ] {
        let refused = place.run(&[&["evaluate"], args].concat()).expect(2);
        assert!(refused.stderr.contains(said), "{args:?}: {}", refused.stderr);
    }
}

#[test]
fn a_worker_that_is_killed_over_an_evaluation_loses_nothing_but_that() {
    let _turn = one_at_a_time();
    let place = trained();
    // Enough to read for some seconds.
    for index in 0..60 {
        let text = format!("Much {index}. The quick stone turns in the slow tunnel of the large wind. ").repeat(400);
        place.write(&format!("news/much-{index}.md"), &text);
    }
    let (serve, mut output) = Running::piped(&mut place.command(&["serve", "--listen", "127.0.0.1:0", "--json"]));
    let url = json(&output.next().expect("says where it listens"))["socket"].as_str().expect("an address").to_owned();
    let said = place.run(&["evaluate", "smoke", "--text", "news", "--coordinator", &url]).expect(0).stdout;
    assert!(said.contains("to evaluate: 6 stages"), "{said}");
    let waits = shown(&place)["evaluations"][0]["reason"].as_str().expect("says why").to_owned();
    assert_eq!(waits, "there is no worker");
    let dir = place.path("elsewhere").display().to_string();
    let worker = || Running::silent(&mut place.command(&["worker", "--coordinator", &url, "--data-dir", &dir]));
    let first = worker();
    let is_running = |shown: &Value| {
        shown["evaluations"].as_array().is_some_and(|all| all.iter().any(|it| it["phase"] == "running"))
    };
    wait_for("an evaluation in progress", || is_running(&shown(&place)).then_some(()));
    drop(first);
    let second = worker();
    place.run(&["watch", "smoke", "--coordinator", &url]).expect(0);
    let shown = shown(&place);
    assert_eq!(attempts(&shown, "stages"), [1; 12]);
    assert_eq!(shown["campaign"]["evaluations"]["completed"], 6);
    drop((second, serve));
}

#[test]
fn a_damaged_held_out_text_is_said_and_not_tried_for_good() {
    let _turn = one_at_a_time();
    let place = trained();
    let datasets = std::fs::read_dir(place.path("data/datasets")).expect("is readable").flatten();
    let mut shards = datasets.map(|dataset| dataset.path().join("validation-00000.npy"));
    let shard = shards.find(|shard| shard.is_file()).expect("something is held out");
    let whole = std::fs::read(&shard).expect("is readable");
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&shard, damaged).expect("written");
    let refused = place.run(&["evaluate", "smoke"]).expect(1).stderr;
    assert!(refused.contains("held-out text") && refused.contains("is damaged"), "{refused}");
    assert_eq!(attempts(&shown(&place), "evaluations"), [0_u64; 0], "nothing waits for it");
    std::fs::write(&shard, whole).expect("written");
    place.run(&["evaluate", "smoke"]).expect(0);
    assert_eq!(attempts(&shown(&place), "evaluations"), [1; 6]);
}
