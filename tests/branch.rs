//! Branches from checkpoints, end to end: existing stages are never retrained.

mod support;

use serde_json::Value;
use support::process::Running;
use support::{Place, one_at_a_time};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A place in which the smoke recipe was run, with the key of the end of its first trunk.
fn trained() -> (Place, String) {
    let place = Place::new();
    place.run(&["run", "smoke.toml"]).expect(0);
    let trunk = stages(&place, "smoke").into_iter().find(|stage| stage["end_step"] == 32).expect("a trunk ends there");
    (place, trunk["key"].as_str().expect("has a key").to_owned())
}

fn stages(place: &Place, campaign: &str) -> Vec<Value> {
    let shown = json(&place.run(&["show", campaign, "--json"]).expect(0).stdout);
    shown["stages"].as_array().expect("has stages").clone()
}

/// How often each stage of a campaign was begun.
fn attempts(place: &Place, campaign: &str) -> Vec<u64> {
    stages(place, campaign).iter().map(|stage| stage["attempt"].as_u64().unwrap_or(0)).collect()
}

#[test]
fn a_branch_decays_from_a_trunk_and_trains_one_stage() {
    let _turn = one_at_a_time();
    let (place, trunk) = trained();
    let branch =
        ["branch", &trunk, "--decay", "exponential", "--tokens", "2_048", "--floor", "0.05", "--name", "steep"];
    let ran = place.run(&branch).expect(0);
    assert!(ran.stderr.contains("to train: 1 stage, 2.05k tokens"), "{}", ran.stderr);
    let branched = stages(&place, "steep");
    let ends: Vec<_> = branched.iter().map(|stage| stage["end_step"].as_u64().expect("a number")).collect();
    assert_eq!(ends, [16, 32, 40]);
    assert_eq!(attempts(&place, "steep"), [1; 3]);
    assert_eq!(attempts(&place, "smoke"), [1; 12], "those of the campaign are what they were");
    let points = place.points("out/steep");
    assert_eq!(points.lines().count(), 2, "{points}");
    // Again, it trains nothing; and once more without a name, which is made up.
    place.run(&branch).expect(0);
    assert_eq!((attempts(&place, "steep"), place.points("out/steep")), (vec![1; 3], points));
    place.run(&["branch", &trunk, "--decay", "exponential", "--tokens", "2_048", "--floor", "0.05"]).expect(0);
    let listed = place.run(&["list", "--json"]).expect(0).stdout;
    let made_up = listed.split('"').find(|word| word.starts_with("smoke-exponential-")).expect("is listed");
    assert_eq!(attempts(&place, made_up), [1; 3]);
    // Another branch does not take the name, and with it the results, of what has it.
    let taken = place.run(&["branch", &trunk, "--tokens", "4_096", "--name", "smoke"]).expect(2).stderr;
    assert!(taken.contains("smoke is the name of campaign_"), "{taken}");
}

#[test]
fn a_branch_goes_on_with_other_text_in_the_same_vocabulary_and_another_from_there() {
    let _turn = one_at_a_time();
    let (place, trunk) = trained();
    std::fs::create_dir(place.path("other")).expect("made");
    for index in 0..40 {
        let text =
            format!("{index}: the stars of {index} nights are counted in the order they were seen.\n").repeat(20);
        std::fs::write(place.path(&format!("other/{index}.txt")), text).expect("written");
    }
    let adapt = ["branch", &trunk, "--data", "other", "--validation-fraction", "0.2", "--name", "adapted"];
    let said = place.run(&[&adapt[..], &["--tokens", "4096", "--dry-run"]].concat()).expect(0).stdout;
    assert!(said.contains("4.10k tokens of other, decaying (linear) to 0.1 of 0.01"), "{said}");
    place.run(&[&adapt[..], &["--stable", "--tokens", "4096"]].concat()).expect(0);
    assert_eq!(attempts(&place, "adapted"), [1; 3]);
    let curve = place.run(&["curves", "adapted"]).expect(0).stdout;
    assert_eq!(curve.lines().count() - 1, 32 + 16, "{curve}");

    // Again it trains nothing, and is not in its own way.
    place.run(&[&adapt[..], &["--stable", "--tokens", "4096"]].concat()).expect(0);
    assert_eq!(attempts(&place, "adapted"), [1; 3]);

    let adapted = stages(&place, "adapted")[2]["key"].as_str().expect("has a key").to_owned();
    place.run(&["branch", &adapted, "--name", "settled"]).expect(0);
    assert_eq!(attempts(&place, "settled"), [1; 4]);
    let points = place.points("out/settled");
    let loss: f64 = points.lines().nth(1).expect("a point").split(',').nth(3).expect("a loss").parse().expect("one");
    assert!((0.1..5.7).contains(&loss), "{points}");
}

#[test]
fn a_branch_after_surgery_trains_another_model_and_is_verified_to_the_bit() {
    let _turn = one_at_a_time();
    let (place, trunk) = trained();
    let untie = ["branch", &trunk, "--surgery", "untie", "--tokens", "2_048", "--name", "untied"];
    let said = place.run(&[&untie[..], &["--dry-run"]].concat()).expect(0).stdout;
    assert!(said.contains("@32 after untie: 2.05k tokens"), "{said}");
    place.run(&untie).expect(0);
    assert_eq!(attempts(&place, "untied"), [1; 3]);
    let own = stages(&place, "untied")[2].clone();
    assert_eq!(own["surgery"], serde_json::json!(["untie"]));
    let shown = place.run(&["show", "untied"]).expect(0).stdout;
    assert!(shown.lines().any(|line| line.ends_with("after untie")), "{shown}");
    let own = own["key"].as_str().expect("has a key");
    let verified = place.run(&["verify", "untied", "--stage", own]).expect(0).stdout;
    assert!(verified.contains("identical"), "{verified}");

    // A branch of it has its model, whose head cannot be untied again.
    place.run(&["branch", own, "--name", "settled"]).expect(0);
    assert_eq!(attempts(&place, "settled"), [1; 4]);
    let refused = place.run(&["branch", own, "--surgery", "untie"]).expect(2).stderr;
    assert!(refused.contains("the model's head is already a matrix of its own"), "{refused}");
    let unknown = place.run(&["branch", &trunk, "--surgery", "graft"]).expect(2).stderr;
    assert!(unknown.contains("possible values: untie"), "{unknown}");
}

#[test]
fn what_nothing_can_branch_off_is_refused_in_a_line() {
    let _turn = one_at_a_time();
    let (place, trunk) = trained();
    let short = &trunk[..14];
    let middle = format!("{trunk}@20");
    let parent = stages(&place, "smoke").into_iter().find(|stage| stage["end_step"] == 16).expect("it is there");
    let parent = parent["key"].as_str().expect("has a key")[..14].to_owned();
    let missing = format!("stage_{}", "0".repeat(64));
    let listing = place.listing();
    for (args, said) in [
        (&[middle.as_str()][..], format!("the nearest are {parent}@16 and {short}@32")),
        (&[&missing], "no stage of any campaign has a key that begins with".to_owned()),
        (&["smoke"], "`smoke` is not a stage key".to_owned()),
        (&[&trunk, "--tokens", "1"], "1 tokens are 0 steps of 256".to_owned()),
        (&[&trunk, "--fraction", "nan"], "0 tokens are 0 steps".to_owned()),
        (&[&trunk, "--peak-lr", "100"], "the peak learning rate 100 is not accepted".to_owned()),
        (&[&trunk, "--floor", "2"], "the floor 2 is not accepted".to_owned()),
        (&[&trunk, "--name", "../x"], "`../x` cannot be the name of a campaign".to_owned()),
        (&[&trunk, "--data", "nowhere"], "nowhere".to_owned()),
        (&[&trunk, "--stable", "--decay", "linear"], "cannot be used with".to_owned()),
    ] {
        let refused = place.run(&[&["branch"], args].concat()).expect(2);
        assert!(refused.stderr.contains(&said), "{args:?}: {}", refused.stderr);
    }
    assert_eq!(place.listing(), listing);
    let whole = format!("{trunk}@32");
    place.run(&["branch", &whole, "--dry-run"]).expect(0);
}

#[test]
fn a_branch_is_handed_in_to_a_coordinator_elsewhere() {
    let _turn = one_at_a_time();
    let (place, trunk) = trained();
    let (serve, mut output) = Running::piped(&mut place.command(&["serve", "--listen", "127.0.0.1:0", "--json"]));
    let url = json(&output.next().expect("says where it listens"))["socket"].as_str().expect("an address").to_owned();
    let elsewhere = place.path("elsewhere").display().to_string();
    let there = ["--coordinator", url.as_str(), "--data-dir", elsewhere.as_str()];
    let branch =
        ["branch", &trunk, "--data", "texts", "--validation-fraction", "0.3", "--tokens", "1024", "--name", "there"];
    let said = place.run(&[&branch[..], &there].concat()).expect(0).stdout;
    assert!(said.starts_with("there (campaign_"), "{said}");
    let worker = Running::silent(&mut place.command(&[&["worker"], &there[..]].concat()));
    place.run(&["watch", "there", "--coordinator", &url]).expect(0);
    assert_eq!(attempts(&place, "there"), [1; 3]);
    drop((worker, serve));
}
