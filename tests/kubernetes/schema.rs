//! Kubernetes' own schemas, by the program `kubernetes-validate` (PyPI), which brings them along.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::Place;

/// The oldest and the newest version of Kubernetes that objects are checked for.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];

/// The program, if it is at hand.
pub(crate) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("WINDTUNNEL_TEST_KUBERNETES_VALIDATE").map(PathBuf::from);
    if named.is_none() {
        eprintln!(
            "skipped: no schemas of Kubernetes (WINDTUNNEL_TEST_KUBERNETES_VALIDATE=PATH of kubernetes-validate)"
        );
    }
    named
}

/// Asserts that each file holds objects that Kubernetes accepts, and no key that it does not know.
#[track_caller]
pub(crate) fn assert_valid(program: &Path, files: &[PathBuf]) {
    for version in VERSIONS {
        let (is_valid, said) = validate(program, version, files);
        assert!(is_valid, "Kubernetes {version}: {said}");
    }
}

/// Asserts the same of objects that were received.
#[track_caller]
pub(crate) fn assert_all_valid(place: &Place, objects: &[Value]) {
    assert!(!objects.is_empty(), "something was received");
    let Some(program) = program() else { return };
    let write = |(index, object): (usize, &Value)| place.write(&format!("received-{index}.json"), &object.to_string());
    let files: Vec<PathBuf> = objects.iter().enumerate().map(write).collect();
    assert_valid(&program, &files);
}

fn validate(program: &Path, version: &str, files: &[PathBuf]) -> (bool, String) {
    let mut command = Command::new(program);
    let output = command.args(["--strict", "-k", version]).args(files).output().expect("kubernetes-validate starts");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

#[test]
fn a_key_that_kubernetes_does_not_know_is_refused() {
    let Some(program) = program() else { return };
    let place = Place::new();
    let job = |key: &str| {
        let text = format!(
            r#"{{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "a"}}, "spec": {{"{key}": 0, "template":
                {{"spec": {{"restartPolicy": "Never", "containers": [{{"name": "a", "image": "i"}}]}}}}}}}}"#
        );
        vec![place.write(&format!("{key}.json"), &text)]
    };
    assert_valid(&program, &job("backoffLimit"));
    for version in VERSIONS {
        let (is_valid, said) = validate(&program, version, &job("backofLimit"));
        assert!(!is_valid && said.contains("backofLimit"), "{said}");
    }
}
