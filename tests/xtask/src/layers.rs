//! Which crate may depend on which. The folder layout is the architecture, and this is the part of it that the compiler
//! does not check.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Every package with its dependencies, without dev-dependencies.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// Workspace members, each with the members it may depend on.
const MEMBERS: &[(&str, &[&str])] = &[
    ("windtunnel-vocabulary", &[]),
    ("windtunnel-recipes", &["windtunnel-vocabulary"]),
    ("windtunnel-scaling", &[]),
    ("windtunnel-scheduler", &["windtunnel-vocabulary", "windtunnel-recipes"]),
    ("windtunnel-report", &["windtunnel-vocabulary", "windtunnel-recipes", "windtunnel-scaling"]),
    ("windtunnel-tables", &["windtunnel-vocabulary", "windtunnel-scaling"]),
    ("windtunnel-proto", &["windtunnel-vocabulary"]),
    ("windtunnel-outbox", &["windtunnel-vocabulary", "windtunnel-proto"]),
    ("windtunnel-dial", &[]),
    ("windtunnel-storage", &[]),
    (
        "windtunnel-client",
        &[
            "windtunnel-vocabulary",
            "windtunnel-recipes",
            "windtunnel-dial",
            "windtunnel-proto",
            "windtunnel-report",
            "windtunnel-scaling",
            "windtunnel-tables",
        ],
    ),
    (
        "windtunnel-coordinator",
        &[
            "windtunnel-vocabulary",
            "windtunnel-recipes",
            "windtunnel-dial",
            "windtunnel-proto",
            "windtunnel-scheduler",
            "windtunnel-storage",
        ],
    ),
    ("windtunnel-corpus", &["windtunnel-vocabulary", "windtunnel-recipes"]),
    ("windtunnel-minicpm", &["windtunnel-vocabulary"]),
    ("windtunnel-trainer", &["windtunnel-vocabulary", "windtunnel-corpus", "windtunnel-minicpm"]),
    ("windtunnel-transformers", &["windtunnel-vocabulary", "windtunnel-trainer"]),
    (
        "windtunnel-worker",
        &[
            "windtunnel-vocabulary",
            "windtunnel-dial",
            "windtunnel-proto",
            "windtunnel-storage",
            "windtunnel-outbox",
            "windtunnel-corpus",
            "windtunnel-minicpm",
            "windtunnel-trainer",
        ],
    ),
    (
        "windtunnel-bench",
        &[
            "windtunnel-vocabulary",
            "windtunnel-recipes",
            "windtunnel-corpus",
            "windtunnel-minicpm",
            "windtunnel-trainer",
            "windtunnel-worker",
        ],
    ),
    (
        "windtunnel",
        &[
            "windtunnel-vocabulary",
            "windtunnel-recipes",
            "windtunnel-dial",
            "windtunnel-client",
            "windtunnel-proto",
            "windtunnel-storage",
            "windtunnel-coordinator",
            "windtunnel-scaling",
            "windtunnel-report",
            "windtunnel-tables",
            "windtunnel-worker",
            "windtunnel-corpus",
            "windtunnel-trainer",
            "windtunnel-transformers",
            "windtunnel-minicpm",
            "windtunnel-bench",
        ],
    ),
    (
        "windtunnel-fuzz",
        &["windtunnel-vocabulary", "windtunnel-recipes", "windtunnel-proto", "windtunnel-outbox", "windtunnel-corpus"],
    ),
    ("xtask", &[]),
];

/// A family of packages, and the only members that may depend on it, directly or through other members. Dependencies
/// that outside packages bring in for their own use do not count.
struct Confined {
    /// Name for the message.
    what: &'static str,
    /// Package names, or prefixes if they end in `-`.
    packages: &'static [&'static str],
    /// Members that may depend on it.
    may_know: &'static [&'static str],
}

const CONFINED: &[Confined] = &[
    Confined {
        what: "the tensor library",
        packages: &["burn", "burn-", "cubecl", "cubecl-"],
        may_know: &[
            "windtunnel-minicpm",
            "windtunnel-trainer",
            "windtunnel-transformers",
            "windtunnel-worker",
            "windtunnel-bench",
            "windtunnel",
        ],
    },
    Confined {
        what: "the wire",
        packages: &["tonic", "tonic-", "prost", "prost-"],
        may_know: &[
            "windtunnel-dial",
            "windtunnel-proto",
            "windtunnel-client",
            "windtunnel-outbox",
            "windtunnel-coordinator",
            "windtunnel-worker",
            "windtunnel-bench",
            "windtunnel-fuzz",
            "windtunnel",
        ],
    },
    Confined {
        what: "Kubernetes",
        packages: &["kube", "kube-", "k8s-openapi"],
        may_know: &["windtunnel-coordinator", "windtunnel"],
    },
    Confined { what: "SQL", packages: &["sqlx", "sqlx-"], may_know: &["windtunnel-coordinator", "windtunnel"] },
    Confined {
        what: "the object store",
        packages: &["object_store"],
        may_know: &[
            "windtunnel-client",
            "windtunnel-storage",
            "windtunnel-coordinator",
            "windtunnel-worker",
            "windtunnel-bench",
            "windtunnel",
        ],
    },
    Confined {
        what: "the HTTP client of buckets",
        packages: &["reqwest"],
        // Those above the storage have it below them; none but the storage names it.
        may_know: &[
            "windtunnel-storage",
            "windtunnel-coordinator",
            "windtunnel-worker",
            "windtunnel-bench",
            "windtunnel",
        ],
    },
];

/// Pure members: no async runtime or network crate among their dependencies, however deep.
const PURE: &[&str] = &[
    "windtunnel-vocabulary",
    "windtunnel-recipes",
    "windtunnel-scheduler",
    "windtunnel-scaling",
    "windtunnel-tables",
    "windtunnel-report",
];
const IMPURE: &[&str] = &["tokio", "hyper", "reqwest", "tonic", "prost", "sqlx", "async-std"];

/// Violations of the rules in a graph, a sentence each.
#[must_use]
pub fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (member, allowed) in MEMBERS {
        let Some(direct) = graph.get(*member) else {
            found.push(format!("{member} has a rule but is not in the workspace"));
            continue;
        };
        for other in MEMBERS.iter().map(|(name, _)| *name) {
            if direct.contains(other) && !allowed.contains(&other) {
                found.push(format!("{member} depends on {other}"));
            }
        }
        let named = named_by_members(graph, member);
        for confined in CONFINED.iter().filter(|confined| !confined.may_know.contains(member)) {
            if let Some(package) = named.iter().find(|package| matches_any(package, confined.packages)) {
                found.push(format!("{member} knows {} by way of {package}", confined.what));
            }
        }
        if PURE.contains(member)
            && let Some(package) =
                closure(graph, member, |_| true).iter().find(|package| IMPURE.contains(&package.as_str()))
        {
            found.push(format!("{member} is pure and has {package} below it"));
        }
    }
    // A search draws its trials in `recipes`, as a function of its seed. The scheduler itself draws nothing.
    if graph.get("windtunnel-scheduler").is_some_and(|direct| direct.contains("rand")) {
        found.push("windtunnel-scheduler draws no random numbers and depends on rand".to_owned());
    }
    found
}

/// Workspace members that the rules do not mention.
#[must_use]
pub fn unmentioned(members: &BTreeSet<String>) -> Vec<&str> {
    members.iter().map(String::as_str).filter(|member| MEMBERS.iter().all(|(known, _)| known != member)).collect()
}

fn matches_any(package: &str, patterns: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| if pattern.ends_with('-') { package.starts_with(pattern) } else { package == *pattern })
}

/// The dependencies of a member and of the members below it.
fn named_by_members(graph: &Graph, member: &str) -> BTreeSet<String> {
    closure(graph, member, |package| MEMBERS.iter().any(|(name, _)| *name == package))
}

/// Packages reachable from one, following only the dependencies of packages that `follow` accepts.
fn closure(graph: &Graph, from: &str, follow: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from.to_owned()];
    while let Some(package) = next.pop() {
        for dependency in graph.get(&package).into_iter().flatten() {
            if reached.insert(dependency.clone()) && follow(dependency) {
                next.push(dependency.clone());
            }
        }
    }
    reached
}

/// Extracts the graph and the workspace's members from the output of `cargo metadata`.
///
/// Versions of one package are merged, which can only add violations.
///
/// # Errors
/// Fails if the text is not the output of `cargo metadata --format-version 1`.
pub fn read_metadata(text: &str) -> Result<(Graph, BTreeSet<String>)> {
    let metadata: Value = serde_json::from_str(text).context("the output of cargo metadata is not JSON")?;
    let names: BTreeMap<&str, &str> = array(&metadata["packages"], "packages")?
        .iter()
        .map(|package| Ok((string(&package["id"], "id")?, string(&package["name"], "name")?)))
        .collect::<Result<_>>()?;
    let name = |id: &Value| -> Result<String> {
        let id = string(id, "package id")?;
        Ok((*names.get(id).with_context(|| format!("package {id} is not described"))?).to_owned())
    };
    let mut graph = Graph::new();
    for node in array(&metadata["resolve"]["nodes"], "resolve.nodes")? {
        let dependencies = graph.entry(name(&node["id"])?).or_default();
        for dependency in array(&node["deps"], "deps")? {
            let kinds = array(&dependency["dep_kinds"], "dep_kinds")?;
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                dependencies.insert(name(&dependency["pkg"])?);
            }
        }
    }
    let members =
        array(&metadata["workspace_members"], "workspace_members")?.iter().map(name).collect::<Result<_>>()?;
    Ok((graph, members))
}

fn array<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        _ => bail!("cargo metadata has no list `{what}`"),
    }
}

fn string<'a>(value: &'a Value, what: &str) -> Result<&'a str> {
    value.as_str().with_context(|| format!("cargo metadata has no text `{what}`"))
}
