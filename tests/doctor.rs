//! `windtunnel doctor`, `verify` and `checkpoints gc` on a finished campaign, intact and damaged.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::Place;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn folders(dir: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("is readable").path()).collect();
    folders.sort();
    folders
}

#[test]
fn a_store_is_examined_repaired_and_verified() {
    let place = Place::new();
    place.run(&["run", "smoke.toml"]).expect(0);
    let points = place.points("out/smoke");

    let sound = json(&place.run(&["doctor", "--json"]).expect(0).stdout);
    assert_eq!(sound["sound"], true);
    let names: Vec<_> = sound["checks"].as_array().expect("a list").iter().map(|check| check["name"].clone()).collect();
    assert_eq!(
        names,
        [
            "database file",
            "log",
            "snapshots",
            "tables of the log",
            "checkpoints",
            "curve points",
            "files of checkpoints",
            "datasets"
        ]
    );
    assert!(sound["checks"].as_array().expect("a list").iter().all(|check| check["looked_at"].as_u64() > Some(0)));

    let verified = json(&place.run(&["verify", "smoke", "--samples", "3", "--json"]).expect(0).stdout);
    assert_eq!((&verified["sound"], verified["stages"].as_array().map(Vec::len)), (&Value::Bool(true), Some(3)));
    assert!(verified["stages"].as_array().expect("a list").iter().all(|stage| stage["compared_checkpoint"] == true));
    place.run(&["verify", "smoke", "--stage", "stage_zz"]).expect(2);

    // A bit flips, and an attempt has left half a checkpoint long ago.
    let listed = json(&place.run(&["checkpoints", "list", "--json"]).expect(0).stdout);
    let results = listed["checkpoints"].as_array().expect("a list").iter();
    let result = results.clone().find(|checkpoint| checkpoint["kept_as"] == "result").expect("there is a result");
    let stage = result["stage"].as_str().expect("a key");
    let folder = folders(place.path("data/checkpoints").join(stage)).remove(0);
    let weights = folder.join("weights.safetensors");
    let mut content = fs::read(&weights).expect("it is there");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&weights, content).expect("it is written");
    let orphan = folder.with_file_name("7-3");
    fs::create_dir(&orphan).expect("it is made");
    let long_ago = SystemTime::now() - Duration::from_secs(7200);
    for name in ["weights.safetensors", "optimizer.safetensors#1"] {
        let file = fs::File::create(orphan.join(name)).expect("it is made");
        file.set_modified(long_ago).expect("it is aged");
    }

    let wrong = json(&place.run(&["doctor", "--json"]).expect(4).stdout);
    let problems: usize = wrong["checks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|check| check["problems"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(problems, 3, "{wrong:#}");
    let differs = place.run(&["verify", "smoke", "--stage", stage]);
    assert_ne!(differs.code, Some(0), "{}", differs.stdout);
    let repaired = place.run(&["doctor", "--repair"]).expect(0).stdout;
    assert!(
        repaired.contains("is lost") && repaired.contains("(repaired)") && repaired.ends_with("\nsound\n"),
        "{repaired}"
    );
    assert!(repaired.contains("\nnot checked: the text of recipes\n"), "{repaired}");
    assert!(!orphan.join("weights.safetensors").exists());
    place.run(&["doctor"]).expect(0);

    // What is left of it goes when it is old; the losses and the points stay.
    for file in folders(folder) {
        fs::File::options().write(true).open(file).and_then(|file| file.set_modified(long_ago)).expect("it is aged");
    }
    let left = place.run(&["doctor"]).expect(4).stdout;
    assert!(left.contains("belongs to no committed checkpoint") && left.ends_with("not sound\n"), "{left}");
    place.run(&["doctor", "--repair"]).expect(0);
    place.run(&["doctor"]).expect(0);
    place.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), points);
}

#[test]
fn a_dataset_that_was_overwritten_is_found_and_prepared_again() {
    let place = Place::new();
    place.run(&["run", "smoke.toml"]).expect(0);
    let datasets = folders(place.path("data/datasets"));
    let dataset = datasets.iter().find(|dir| dir.join("manifest.json").is_file()).expect("there is one");
    // Half of a shard: its size stays the same.
    let shard = dataset.join("train-00000.npy");
    let mut content = fs::read(&shard).expect("it is there");
    let half = content.len() / 2;
    content[half..].fill(1);
    fs::write(&shard, content).expect("it is written");
    let damaged = place.run(&["doctor"]).expect(4).stdout;
    assert!(damaged.contains("train-00000.npy` is damaged"), "{damaged}");
    let verified = place.run(&["verify", "smoke", "--samples", "1"]).expect(1);
    assert!(verified.stderr.contains("train-00000.npy` is damaged"), "{}", verified.stderr);
    let ran = place.run(&["run", "smoke.toml"]).expect(0);
    assert!(ran.stderr.contains("prepared now"), "{}", ran.stderr);
    place.run(&["doctor"]).expect(0);
    place.run(&["verify", "smoke", "--samples", "1"]).expect(0);
}

#[test]
fn room_is_made_only_of_what_nothing_needs() {
    let place = Place::with_much_to_train();
    place.run(&["run", "smoke.toml", "--checkpoint-interval", "0.1"]).expect(0);
    let listed = json(&place.run(&["checkpoints", "list", "smoke", "--json"]).expect(0).stdout);
    let checkpoints = listed["checkpoints"].as_array().expect("a list");
    let idle: u64 = checkpoints
        .iter()
        .filter(|checkpoint| checkpoint["kept_as"].is_null())
        .filter_map(|checkpoint| checkpoint["bytes"].as_u64())
        .sum();
    assert!(idle > 0, "there were checkpoints on the way");
    let would_go = json(&place.run(&["checkpoints", "gc", "--dry-run", "--json"]).expect(0).stdout);
    assert_eq!(would_go["bytes"], idle);
    let gone = json(&place.run(&["checkpoints", "gc", "--json"]).expect(0).stdout);
    assert_eq!((&gone["bytes"], &gone["dry_run"]), (&would_go["bytes"], &Value::Bool(false)));
    place.run(&["doctor"]).expect(0);
    let left = json(&place.run(&["checkpoints", "list", "--json"]).expect(0).stdout);
    assert_eq!(left["checkpoints"].as_array().map(Vec::len), Some(12), "the last one of every stage");
    place.run(&["verify", "smoke", "--samples", "2"]).expect(0);
}

#[test]
fn a_directory_without_a_store_is_nothing_to_examine() {
    let ran = Place::new().run(&["doctor"]).expect(2);
    assert!(ran.stderr.contains("there is no store in"), "{}", ran.stderr);
}
