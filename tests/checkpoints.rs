//! Checkpoints damaged while nothing runs: the damage is found before use, earlier checkpoints take over, and the points come
//! out the same, byte for byte.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::process::{Running, wait_for};
use support::{Place, one_at_a_time, undisturbed};

const RUN: [&str; 4] = ["run", "smoke.toml", "--checkpoint-interval", "0.1"];

fn show(place: &Place) -> Value {
    let shown = place.run(&["show", "smoke", "--json"]).expect(0).stdout;
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

/// A place whose campaign was killed in the middle, with a stage that must resume from a committed checkpoint: its own, or its
/// parent's.
fn killed_in_the_middle() -> Place {
    let place = Place::with_much_to_train();
    let run = Running::silent(&mut place.command(&RUN));
    wait_for("some checkpoints", || (checkpoints(&place.path("data/checkpoints")).len() >= 4).then_some(()));
    run.kill_group();
    place
}

/// The folders of complete checkpoints.
fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let folders = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let all = folders(dir).iter().flat_map(|stage| folders(stage)).collect::<Vec<_>>();
    all.into_iter().filter(|folder| folder.join("manifest.json").is_file()).collect()
}

/// Checkpoints that the next run starts from: the newest committed ones of stages that are not done, and of those whose
/// children are not.
fn needed(place: &Place) -> Vec<PathBuf> {
    let shown = show(place);
    let stages = shown["stages"].as_array().expect("has stages");
    let parents = shown["plan"]["stages"].as_array().expect("has stages");
    let is_open = |stage: &Value| stage["phase"] != "completed";
    let waits_for = |key: &Value| {
        let children = parents.iter().zip(stages).filter(|(planned, _)| planned["parent"] == *key);
        children.map(|(_, stage)| stage).any(|stage| is_open(stage) && stage["committed_step"].is_null())
    };
    let needed = stages.iter().filter(|stage| is_open(stage) || waits_for(&stage["key"]));
    let folders = checkpoints(&place.path("data/checkpoints"));
    needed
        .filter_map(|stage| Some((stage["key"].as_str()?, stage["committed_step"].as_u64()?)))
        .flat_map(|(key, committed)| {
            // Later ones were stored and not committed yet: the next worker delivers what was left to say of them.
            let is_of_it = move |folder: &&PathBuf| {
                let text = folder.display().to_string();
                let step = text.rsplit('-').next().and_then(|step| step.parse::<u64>().ok());
                text.contains(key)
                    && step.is_some_and(|step| step >= committed)
                    && folder.join("manifest.json").exists()
            };
            folders.iter().filter(is_of_it).cloned().collect::<Vec<_>>()
        })
        .collect()
}

/// Damages the checkpoints, runs the campaign again, and looks at what it says of them.
fn goes_on_without(place: &Place, damaged: &[PathBuf], damage: impl Fn(&Path)) {
    assert!(!damaged.is_empty(), "it was killed in the middle");
    for folder in damaged {
        damage(folder);
    }
    let ran = place.run(&RUN).expect(0);
    assert_eq!(place.points("out/smoke"), undisturbed());
    assert!(ran.stderr.contains("a committed checkpoint is damaged or gone"), "{}", ran.stderr);
    let shown = show(place);
    assert!(shown["campaign"]["damaged_checkpoints"].as_u64().expect("is counted") >= 1, "{shown:#}");
    let listed = place.run(&["list"]).expect(0).stdout;
    assert!(listed.contains("found damaged or missing"), "{listed}");

    let curves = place.run(&["curves", "smoke"]).expect(0).stdout;
    let stages = shown["stages"].as_array().expect("has stages").iter();
    let steps =
        |stage: &Value| stage["end_step"].as_u64().zip(stage["start_step"].as_u64()).map(|(end, start)| end - start);
    let trained: u64 = stages.map(|stage| steps(stage).expect("has steps")).sum();
    assert_eq!(curves.lines().count() as u64 - 1, trained, "every step is on a curve once");
}

#[test]
fn a_bit_that_flipped_in_a_checkpoint_is_found_and_the_points_are_the_same() {
    let _turn = one_at_a_time();
    let place = killed_in_the_middle();
    let damaged = needed(&place);
    goes_on_without(&place, &damaged, |folder| {
        let path = folder.join("optimizer.safetensors");
        let mut content = fs::read(&path).expect("is there");
        let middle = content.len() / 2;
        content[middle] ^= 0x10;
        fs::write(path, content).expect("is written");
    });
}

#[test]
fn a_truncated_checkpoint_and_all_before_it_are_found_and_the_points_are_the_same() {
    let _turn = one_at_a_time();
    let place = killed_in_the_middle();
    assert!(!needed(&place).is_empty(), "it was killed in the middle");
    let all = checkpoints(&place.path("data/checkpoints"));
    goes_on_without(&place, &all, |folder| {
        let path = folder.join("weights.safetensors");
        let content = fs::read(&path).expect("is there");
        fs::write(path, &content[..content.len() - 7]).expect("is written");
    });
}

#[test]
fn a_checkpoint_that_lost_a_file_is_found_and_the_points_are_the_same() {
    let _turn = one_at_a_time();
    let place = killed_in_the_middle();
    let damaged = needed(&place);
    goes_on_without(&place, &damaged, |folder| {
        fs::remove_file(folder.join("weights.safetensors")).expect("is there");
    });
}

#[test]
fn a_checkpoint_without_its_manifest_is_found_and_the_points_are_the_same() {
    let _turn = one_at_a_time();
    let place = killed_in_the_middle();
    let damaged = needed(&place);
    goes_on_without(&place, &damaged, |folder| fs::remove_file(folder.join("manifest.json")).expect("is there"));
}
