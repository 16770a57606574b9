//! Which crate may know which. The root listing of the workspace is its architecture, and this is the part of it that a
//! compiler does not check.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Every package and the packages it depends on, dev-dependencies left out.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// The members of the workspace, each with the members it may name.
const MEMBERS: &[(&str, &[&str])] = &[
    ("windtunnel-vocabulary", &[]),
    ("windtunnel-recipes", &["windtunnel-vocabulary"]),
    ("windtunnel-scaling", &[]),
    ("windtunnel-scheduler", &["windtunnel-vocabulary", "windtunnel-recipes"]),
    ("windtunnel-report", &["windtunnel-vocabulary", "windtunnel-recipes", "windtunnel-scaling"]),
    ("windtunnel-tables", &["windtunnel-scaling"]),
    ("windtunnel-proto", &["windtunnel-vocabulary"]),
    ("windtunnel-outbox", &["windtunnel-vocabulary", "windtunnel-proto"]),
    ("windtunnel-dial", &[]),
    (
        "windtunnel-coordinator",
        &[
            "windtunnel-vocabulary",
            "windtunnel-recipes",
            "windtunnel-dial",
            "windtunnel-proto",
            "windtunnel-scheduler",
            "windtunnel-scaling",
            "windtunnel-report",
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
            "windtunnel-proto",
            "windtunnel-coordinator",
            "windtunnel-scaling",
            "windtunnel-scheduler",
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

/// A family of packages, and the only members that may name it, themselves or through other members. What packages from
/// elsewhere bring along for their own use is theirs.
struct Confined {
    /// What it is, for the message.
    what: &'static str,
    /// Names, or beginnings of names where they end in `-`.
    packages: &'static [&'static str],
    /// Who may know it.
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
            "windtunnel-outbox",
            "windtunnel-coordinator",
            "windtunnel-worker",
            "windtunnel-bench",
            "windtunnel-fuzz",
            "windtunnel",
        ],
    },
    Confined { what: "SQL", packages: &["sqlx", "sqlx-"], may_know: &["windtunnel-coordinator", "windtunnel"] },
    Confined {
        what: "the object store",
        packages: &["object_store"],
        may_know: &["windtunnel-coordinator", "windtunnel-worker", "windtunnel-bench", "windtunnel"],
    },
];

/// Members that must not have these below them, however far: they are pure, so neither an async runtime nor the network.
const PURE: &[&str] = &[
    "windtunnel-vocabulary",
    "windtunnel-recipes",
    "windtunnel-scheduler",
    "windtunnel-scaling",
    "windtunnel-tables",
    "windtunnel-report",
];
const IMPURE: &[&str] = &["tokio", "hyper", "reqwest", "tonic", "prost", "sqlx", "async-std"];

/// What is wrong with a graph, a sentence each; empty where the rules hold.
#[must_use]
pub fn violations(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for (member, allowed) in MEMBERS {
        let Some(direct) = graph.get(*member) else {
            found.push(format!("{member} is named by the rules and is not in the workspace"));
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
    // What a search draws is a function of its seed in `recipes`. The decisions themselves draw nothing.
    if graph.get("windtunnel-scheduler").is_some_and(|direct| direct.contains("rand")) {
        found.push("windtunnel-scheduler draws no random numbers and depends on rand".to_owned());
    }
    found
}

/// Members of the workspace that the rules do not mention.
#[must_use]
pub fn unmentioned(members: &BTreeSet<String>) -> Vec<&str> {
    members.iter().map(String::as_str).filter(|member| MEMBERS.iter().all(|(known, _)| known != member)).collect()
}

fn matches_any(package: &str, patterns: &[&str]) -> bool {
    patterns
        .iter()
        .any(|pattern| if pattern.ends_with('-') { package.starts_with(pattern) } else { package == *pattern })
}

/// What a member and the members below it depend on.
fn named_by_members(graph: &Graph, member: &str) -> BTreeSet<String> {
    closure(graph, member, |package| MEMBERS.iter().any(|(name, _)| *name == package))
}

/// What is reached from a package, going on only behind the packages that `follow` names.
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

/// The graph and the members of the workspace in what `cargo metadata` prints.
///
/// Packages of one name and several versions count as one, which can only find more.
///
/// # Errors
/// Where the text is not what `cargo metadata --format-version 1` prints.
pub fn read_metadata(text: &str) -> Result<(Graph, BTreeSet<String>)> {
    let metadata: Value = serde_json::from_str(text).context("cargo metadata printed no JSON")?;
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
