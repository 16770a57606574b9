//! Rules finer than crates, which the compiler does not check either: which files may name the wire, the database and
//! other things, and that the top-level modules of no crate use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};

use crate::prose::text::{Token, tokens};

/// Names that only some files of a crate may use.
struct Confined {
    /// Name for the message.
    what: &'static str,
    /// Identifiers, such as the name of a crate or of a module of generated types.
    names: &'static [&'static str],
    /// The crate's sources, relative to the workspace's root.
    sources: &'static str,
    /// Files and folders below `sources` that may use the names, each with the reason.
    allowed: &'static [(&'static str, &'static str)],
}

const CONFINED: &[Confined] = &[
    Confined {
        what: "the wire",
        names: &["tonic", "prost", "v1"],
        sources: "coordinator/src",
        allowed: &[
            ("grpc", "decodes and encodes"),
            ("start/mod.rs", "takes the TLS configuration of the server"),
            ("start/known.rs", "takes it for the time before the server"),
            ("start/server.rs", "serves"),
            ("start/standby.rs", "answers while another coordinator leads"),
            ("auth/guard.rs", "refuses calls"),
            ("auth/layer.rs", "stands in front of every service"),
            ("auth/methods.rs", "knows calls by their names"),
            ("incoming/accepted.rs", "hands connections to the server"),
            ("incoming/calls.rs", "counts calls"),
            ("pools/kubernetes", "has Kubernetes' own modules of that name"),
            ("metrics/http.rs", "serves metrics"),
            ("tls.rs", "reads certificates for the server"),
        ],
    },
    Confined {
        what: "SQL",
        names: &["sqlx"],
        sources: "coordinator/src",
        allowed: &[
            ("store/sqlite", "the implementation of the store in SQLite"),
            ("store/postgres", "the implementation of the store in PostgreSQL"),
        ],
    },
    Confined {
        what: "a whole campaign",
        names: &["Conclusion", "Campaign", "Plan"],
        sources: "coordinator/report/src",
        // Not the figures: their small inputs let them draw a campaign that is still running.
        allowed: &[
            ("conclude", "makes conclusions of campaigns"),
            ("draw.rs", "takes the inputs of figures from them"),
            ("render", "shows them"),
            ("lib.rs", "exports them"),
        ],
    },
    Confined {
        what: "Kubernetes",
        names: &["kube", "k8s_openapi"],
        sources: "coordinator/src",
        allowed: &[("pools/kubernetes", "asks it")],
    },
    Confined {
        what: "the wire",
        names: &["tonic", "prost", "v1"],
        sources: "worker/src",
        allowed: &[
            ("session/wire.rs", "translates between the wire and the session"),
            ("session/link.rs", "opens the stream and keeps it open"),
            ("session/state.rs", "builds messages as the outbox stores them"),
            ("session/event.rs", "carries a message from the outbox to the stream"),
            ("run.rs", "parses the coordinator's address"),
        ],
    },
];

/// Violations of the rules in the sources below a root, a sentence each.
///
/// # Errors
/// Fails if a source file cannot be read.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for rule in CONFINED {
        let files = read(&root.join(rule.sources))?;
        let is_below = |file: &str, place: &str| file == place || file.starts_with(&format!("{place}/"));
        let names = |text: &str| tokens(text).into_iter().find(|token| rule.names.contains(&token.text.as_str()));
        for (file, text) in &files {
            if rule.allowed.iter().any(|(place, _)| is_below(file, place)) {
                continue;
            }
            if let Some(Token { text: name, line }) = names(text) {
                found.push(format!("{}/{file}:{line} names {} by `{name}`", rule.sources, rule.what));
            }
        }
        for (place, _) in rule.allowed {
            if !root.join(rule.sources).join(place).exists() {
                found.push(format!("{}/{place} may name {} but does not exist", rule.sources, rule.what));
            } else if !files.iter().any(|(file, text)| is_below(file, place) && names(text).is_some()) {
                found.push(format!("{}/{place} may name {} but does not", rule.sources, rule.what));
            }
        }
    }
    for sources in crates(root)? {
        let files = read(&root.join(&sources))?;
        let modules: BTreeSet<String> = files.keys().filter_map(|file| module_path(file).first().cloned()).collect();
        let modules: Vec<&str> = modules.iter().map(String::as_str).collect();
        found.extend(circles(&files, &modules).into_iter().map(|circle| format!("{sources}: {circle}")));
    }
    Ok(found)
}

/// The folders with the sources of the workspace's crates, relative to its root.
fn crates(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(folder) = next.pop() {
        if folder.join("Cargo.toml").exists() && folder.join("src").exists() {
            let sources = folder.join("src");
            found.push(sources.strip_prefix(root).unwrap_or(&sources).to_string_lossy().replace('\\', "/"));
        }
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "src" {
                next.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The Rust files below a folder with their texts, by path relative to it.
fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut next = vec![folder.to_owned()];
    while let Some(path) = next.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?;
            for entry in entries {
                next.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.insert(name, text);
        }
    }
    Ok(files)
}

/// Circles among modules of a crate, each as a sentence. `files` are its sources, `modules` the paths to look at.
#[must_use]
pub fn circles(files: &BTreeMap<String, String>, modules: &[&str]) -> Vec<String> {
    let sources = Sources::new(files);
    let module_of = |path: &[String]| {
        let inside =
            |module: &&&str| path.join("::") == **module || path.join("::").starts_with(&format!("{module}::"));
        modules.iter().filter(inside).max_by_key(|module| module.len()).copied()
    };
    let mut found = Vec::new();
    for module in modules {
        if !sources.modules.iter().any(|path| module_of(path) == Some(module)) {
            found.push(format!("the module {module} has a rule but does not exist"));
        }
    }
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, targets) in &sources.uses {
        let Some(from) = module_of(from) else { continue };
        let targets = targets.iter().filter_map(|target| module_of(&sources.resolve(target)));
        uses.entry(from).or_default().extend(targets.filter(|to| *to != from));
    }
    for from in uses.keys() {
        let mut reached = BTreeMap::from([(*from, vec![*from])]);
        let mut next = vec![*from];
        while let Some(at) = next.pop() {
            let way = reached[at].clone();
            for to in uses.get(at).into_iter().flatten() {
                if to == from {
                    // Each circle is reported once, from its first module.
                    if way.iter().min() == Some(from) {
                        found.push(format!("{} uses {from}, which closes a circle", way.join(" uses ")));
                    }
                } else if !reached.contains_key(to) {
                    reached.insert(to, [way.as_slice(), &[*to]].concat());
                    next.push(to);
                }
            }
        }
    }
    found
}

/// The modules of a crate and what they use, without code under test.
struct Sources {
    modules: BTreeSet<Vec<String>>,
    /// By module, the paths that it names, from the crate's root.
    uses: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    /// Names under which a module offers what another one defines.
    exports: BTreeMap<Vec<String>, Vec<String>>,
}

impl Sources {
    fn new(files: &BTreeMap<String, String>) -> Self {
        let modules: BTreeSet<Vec<String>> = files.keys().map(|file| module_path(file)).collect();
        let mut sources = Self { modules, uses: BTreeMap::new(), exports: BTreeMap::new() };
        for (file, text) in files {
            let module = module_path(file);
            if module.last().is_some_and(|name| name == "tests") {
                continue;
            }
            let all = tokens(text);
            // Tests come last in a file.
            let end = all.windows(6).position(|window| {
                let words: Vec<&str> = window.iter().map(|token| token.text.as_str()).collect();
                words == ["#", "[", "cfg", "(", "test", ")"]
            });
            sources.add(&module, &all[..end.unwrap_or(all.len())]);
        }
        sources
    }

    fn add(&mut self, module: &[String], tokens: &[Token]) {
        let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
        for at in 0..tokens.len() {
            let is_start = at == 0 || text(at - 1) != ":";
            let root = match text(at) {
                "crate" if is_start => Vec::new(),
                "super" if is_start => module[..module.len().saturating_sub(1)].to_vec(),
                "self" if is_start => module.to_vec(),
                "use" => {
                    // A path that begins with a child module, as in `pub use parts::Part`.
                    let child = [module, &[text(at + 1).to_owned()]].concat();
                    if self.modules.contains(&child) {
                        self.path(module, module, tokens, at + 1, at);
                    }
                    continue;
                }
                _ => continue,
            };
            if text(at + 1) == ":" && text(at + 2) == ":" {
                self.path(module, &root, tokens, at + 3, at);
            }
        }
    }

    /// Reads a path, or a tree of paths in braces, and returns where it ends. `start` is its first token.
    fn path(&mut self, module: &[String], root: &[String], tokens: &[Token], mut at: usize, start: usize) -> usize {
        let text = |index: usize| tokens.get(index).map_or("", |token| token.text.as_str());
        let mut path = root.to_vec();
        loop {
            match text(at) {
                "{" => {
                    at += 1;
                    while !matches!(text(at), "}" | "") {
                        at = self.path(module, &path, tokens, at, start);
                        if text(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "super" => drop(path.pop()),
                "self" | "*" => {}
                name => path.push(name.to_owned()),
            }
            at += 1;
            if text(at) == ":" && text(at + 1) == ":" {
                at += 2;
                continue;
            }
            let mut name = path.last().cloned().unwrap_or_default();
            if text(at) == "as" {
                name = text(at + 1).to_owned();
                at += 2;
            }
            let before = |back: usize| start.checked_sub(back).map_or("", text);
            let is_export = text(start) == "use" && matches!(before(1), "pub" | ")")
                || before(1) == "use" && matches!(before(2), "pub" | ")");
            if is_export {
                self.exports.insert([module, &[name]].concat(), path.clone());
            }
            self.uses.entry(module.to_vec()).or_default().insert(path);
            return at;
        }
    }

    /// Where a path leads once names that modules pass on are followed.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        // Longer chains of names would be circles themselves.
        for _ in 0..8 {
            let Some((length, target)) =
                (1..=path.len()).find_map(|length| Some((length, self.exports.get(&path[..length])?)))
            else {
                break;
            };
            if path[..length] == target[..] {
                break;
            }
            path = [target, &path[length..]].concat();
        }
        path
    }
}

/// The path of the module that a file holds: `a/mod.rs` and `a.rs` are `a`.
fn module_path(file: &str) -> Vec<String> {
    let mut path: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| last == "mod") || path == ["lib"] || path == ["main"] {
        path.pop();
    }
    path
}
