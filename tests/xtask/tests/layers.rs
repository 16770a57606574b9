//! The crates depend only on what the rules allow, according to `cargo metadata`.

use std::process::Command;

use xtask::check;
use xtask::layers::{Graph, read_metadata, unmentioned, violations};

/// The workspace as cargo resolves it for this machine with default features. Offline, because everything a test run
/// needs is downloaded already.
fn workspace() -> (Graph, std::collections::BTreeSet<String>) {
    let version = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).expect("rustc prints text");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let output = check::cargo()
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read_metadata(&String::from_utf8(output.stdout).expect("cargo prints text")).expect("cargo's format")
}

fn with_edges(graph: &Graph, edges: &[(&str, &str)]) -> Graph {
    let mut graph = graph.clone();
    for (from, to) in edges {
        graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
    }
    graph
}

#[test]
fn crates_know_only_what_they_may_know() {
    let (graph, members) = workspace();
    assert_eq!(violations(&graph), Vec::<String>::new());
    assert_eq!(unmentioned(&members), Vec::<&str>::new(), "members without a rule: add them to the table");
}

#[test]
fn a_forbidden_dependency_is_found() {
    let (graph, _) = workspace();
    for (from, to, message) in [
        ("windtunnel-scheduler", "tokio", "windtunnel-scheduler is pure and has tokio below it"),
        ("windtunnel-recipes", "windtunnel-proto", "windtunnel-recipes depends on windtunnel-proto"),
        ("windtunnel-coordinator", "windtunnel-trainer", "windtunnel-coordinator knows the tensor library"),
        ("windtunnel-worker", "sqlx", "windtunnel-worker knows SQL"),
        ("windtunnel-scheduler", "rand", "windtunnel-scheduler draws no random numbers"),
    ] {
        let found = violations(&with_edges(&graph, &[(from, to)]));
        assert!(found.iter().any(|violation| violation.starts_with(message)), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn a_forbidden_dependency_is_found_behind_others() {
    let (graph, _) = workspace();
    let edges = [("windtunnel-scaling", "innocent"), ("innocent", "worse"), ("worse", "hyper")];
    let found = violations(&with_edges(&graph, &edges));
    assert_eq!(
        found,
        ["scaling", "report", "tables"].map(|name| format!("windtunnel-{name} is pure and has hyper below it"))
    );
}
