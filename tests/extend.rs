//! Extended campaigns, end to end: only new stages are trained, and the points equal those of a campaign planned in full.

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::process::Running;
use support::{Place, one_at_a_time, smoke_recipe};

const POINTS: &str = "tokens = [5_120, 10_240, 20_480]";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A place whose recipe has these words instead of others.
fn place_with(words: &[(&str, &str)]) -> Place {
    let place = Place::new();
    let recipe = words.iter().fold(smoke_recipe(), |recipe, (from, to)| {
        assert!(recipe.contains(from), "the smoke recipe has {from}");
        recipe.replacen(from, to, 1)
    });
    place.write("smoke.toml", &recipe);
    place
}

/// A place in which the smoke recipe was run, and how many stages that trained.
fn trained() -> (Place, u64) {
    let place = Place::new();
    place.run(&["run", "smoke.toml"]).expect(0);
    let trained = attempts(&place);
    assert_eq!(trained, [1; 12], "each stage once");
    (place, 12)
}

/// How often each stage of the campaign was begun.
fn attempts(place: &Place) -> Vec<u64> {
    let shown = json(&place.run(&["show", "smoke", "--json"]).expect(0).stdout);
    let stages = shown["stages"].as_array().expect("has stages");
    stages.iter().map(|stage| stage["attempt"].as_u64().unwrap_or(0)).collect()
}

/// The file without the line that says which campaign it is of: a campaign that grew keeps its identifier.
fn fit(place: &Place) -> String {
    let text = std::fs::read_to_string(place.path("out/smoke/fit.json")).expect("it was written");
    let (said, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains("\"campaign_id\""));
    assert_eq!(said.len(), 1, "{text}");
    rest.join("\n")
}

/// The points, by the names of the columns.
fn rows(points: &str) -> Vec<BTreeMap<&str, &str>> {
    let names: Vec<&str> = points.lines().next().expect("has a header").split(',').collect();
    points.lines().skip(1).map(|line| names.iter().copied().zip(line.split(',')).collect()).collect()
}

/// The points without the columns that name stages.
fn without_keys(points: &str) -> Vec<BTreeMap<&str, &str>> {
    let mut rows = rows(points);
    for row in &mut rows {
        for key in ["stage", "trial"] {
            row.remove(key).expect("there is such a column");
        }
    }
    rows
}

#[test]
fn a_campaign_extended_is_the_one_planned_whole_and_only_what_is_new_is_trained() {
    let _turn = one_at_a_time();
    let (place, before) = trained();
    let list = json(&place.run(&["list", "--json"]).expect(0).stdout);
    let extended = ["extend", "smoke", "--tokens", "40_960", "--seeds", "3", "--sizes", "TINY-32", "--peak-lr", "0.02"];
    place.run(&extended).expect(0);

    let whole = place_with(&[
        (POINTS, "tokens = [5_120, 10_240, 20_480, 40960]"),
        ("seeds = [0]", "seeds = [0, 3]"),
        ("sizes = [\"smoke-16\", \"smoke-32\"]", "sizes = [\"smoke-16\", \"smoke-32\", \"tiny-32\"]"),
        ("peak_lr = [0.01]", "peak_lr = [0.01, 0.02]"),
    ]);
    whole.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), whole.points("out/smoke"));
    assert_eq!(fit(&place), fit(&whole));

    let attempts = attempts(&place);
    assert!(attempts.iter().all(|count| *count == 1), "nothing was begun again: {attempts:?}");
    assert_eq!(attempts.len(), self::attempts(&whole).len());
    assert!(attempts.len() as u64 > before);
    let now = json(&place.run(&["list", "--json"]).expect(0).stdout);
    assert_eq!(now["campaigns"].as_array().map(Vec::len), Some(1), "it is the same campaign");
    assert_eq!(now["campaigns"][0]["campaign"], list["campaigns"][0]["campaign"]);

    // Its first recipe trains nothing, and reports all of it.
    let points = place.points("out/smoke");
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), points);
    assert_eq!(self::attempts(&place), attempts);
    // And so does the extension again.
    let again = place.run(&extended).expect(0);
    assert!(again.stderr.contains("nothing to add: smoke already has everything"), "{}", again.stderr);
    assert_eq!(place.points("out/smoke"), points);
    assert_eq!(self::attempts(&place), attempts);
}

#[test]
fn points_between_and_before_the_old_ones_leave_these_as_they_are() {
    let _turn = one_at_a_time();
    let (place, before) = trained();
    let old = place.points("out/smoke");
    let ran = place.run(&["extend", "smoke", "--tokens", "15_360,2560"]).expect(0);
    // Of each size: 0..8 and 32..48, and a decay of each.
    assert!(ran.stderr.contains("to train: 8 stages"), "{}", ran.stderr);
    assert_eq!(attempts(&place), vec![1; before as usize + 8]);

    let whole = place_with(&[(POINTS, "tokens = [5_120, 10_240, 20_480, 15_360, 2_560]")]);
    whole.run(&["run", "smoke.toml"]).expect(0);
    let (grown, planned) = (place.points("out/smoke"), whole.points("out/smoke"));
    assert_eq!(without_keys(&grown), without_keys(&planned), "but for the names of stages that are cut otherwise");
    let now = rows(&grown);
    for old in rows(&old) {
        let stays =
            now.iter().any(|new| ["size", "d", "loss", "stage", "trial"].iter().all(|name| old[name] == new[name]));
        assert!(stays, "an old point keeps its stage and trial: {old:?}");
    }
    let grown: Value = json(&fit(&place));
    let planned: Value = json(&fit(&whole));
    assert_eq!(grown["parameters"], planned["parameters"]);
    assert_eq!(grown["intervals"], planned["intervals"]);
}

#[test]
fn a_dry_run_says_what_it_would_train_and_changes_nothing() {
    let _turn = one_at_a_time();
    let (place, before) = trained();
    let listing = place.listing();
    let said = place.run(&["extend", "smoke", "--tokens", "40_960", "--dry-run"]).expect(0).stdout;
    assert!(said.starts_with("smoke (campaign_") && said.contains(") grows by 2 trials\n"), "{said}");
    assert!(said.contains("to train: 4 stages, 49.2k tokens"), "{said}");
    assert!(said.contains("shared with existing: 6 stages, 32.8k tokens"), "{said}");
    let said = json(&place.run(&["extend", "smoke", "--tokens", "40_960", "--dry-run", "--json"]).expect(0).stdout);
    assert_eq!(said["stages"].as_array().map(Vec::len), Some(4));
    let nothing = place.run(&["extend", "smoke", "--tokens", "20480", "--dry-run"]).expect(0);
    assert!(nothing.stderr.contains("nothing to add"), "{}", nothing.stderr);
    assert_eq!(place.listing(), listing);
    assert_eq!(attempts(&place), vec![1; before as usize]);
}

#[test]
fn what_cannot_be_added_is_refused_in_a_line() {
    let _turn = one_at_a_time();
    let empty = Place::new();
    let nothing = empty.run(&["extend", "smoke", "--tokens", "4m"]).expect(2);
    assert!(nothing.stderr.contains("no stored data"), "{}", nothing.stderr);
    let (place, _) = trained();
    for (args, said) in [
        (&["nobody", "--tokens", "4m"][..], "no campaign `nobody`"),
        (&["smoke"], "required arguments"),
        (&["smoke", "--tokens", "many"], "expected a whole number"),
        (&["smoke", "--sizes", "3B"], "key `model.sizes[2]`"),
        (&["smoke", "--tokens-per-param", "20"], "key `points.times_n`: cannot be combined with `tokens`"),
        (&["smoke", "--peak-lr", "100"], "key `optimizer.peak_lr[1]`"),
    ] {
        let refused = place.run(&[&["extend"], args].concat()).expect(2);
        assert!(refused.stderr.contains(said), "{args:?}: {}", refused.stderr);
    }
}

#[test]
fn a_campaign_of_a_coordinator_is_extended_there() {
    let _turn = one_at_a_time();
    let (place, _) = trained();
    let (serve, mut output) = Running::piped(&mut place.command(&["serve", "--listen", "127.0.0.1:0", "--json"]));
    let url = json(&output.next().expect("says where it listens"))["socket"].as_str().expect("an address").to_owned();
    let said = place.run(&["extend", "smoke", "--tokens", "40_960", "--coordinator", &url]).expect(0).stdout;
    assert!(said.contains("to train: 4 stages"), "{said}");
    let dir = place.path("elsewhere").display().to_string();
    let worker = Running::silent(&mut place.command(&["worker", "--coordinator", &url, "--data-dir", &dir]));
    place.run(&["watch", "smoke", "--coordinator", &url]).expect(0);
    assert_eq!(attempts(&place), [1; 16]);
    drop((worker, serve));
}
