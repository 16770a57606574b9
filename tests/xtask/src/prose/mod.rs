//! The prose that people read, checked against a table of phrases that stop a reader: comments, strings and pages.
//!
//! [`words`] is the table, [`text`] finds the prose in a file, and a test of this crate runs [`scan`] over the repository
//! and allows no hit.

pub mod text;
pub mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use text::{Language, Passage, passages};
use words::{EMPTY, TURNS, Turn};

/// Something to rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Relative to the root, with slashes.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// As it stands there, in lower case.
    pub phrase: String,
    pub instead: &'static str,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: \"{}\": write {}", self.file, self.line, self.phrase, self.instead)
    }
}

/// What is looked through, below the root.
const FOLDERS: &[&str] = &[".ci", "coordinator", "deploy", "docs", "proto", "recipes", "src", "tests", "worker"];

/// Not looked through, and why.
const LEFT_OUT: &[&str] = &[
    // The table itself and its tests quote what they look for.
    "tests/xtask/src/prose",
    "tests/xtask/tests/prose.rs",
    // Names of folders outside of the repository.
    "tests/xtask/src/cases/expected",
    // Inputs found by a fuzzer.
    "tests/fuzz/corpus",
    // Stores that earlier versions wrote.
    "coordinator/tests/fixtures",
    // A store remembers the hash of each migration that it has applied, comments included.
    "coordinator/migrations/0001_log_and_tables.sql",
    "coordinator/migrations/0002_tokens.sql",
    "coordinator/migrations/0005_dynamics.sql",
];

/// Everything to rewrite below a root, or below one of its folders.
///
/// # Errors
/// Where a folder or file cannot be read.
pub fn scan(root: &Path, below: Option<&str>) -> Result<Vec<Hit>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).with_context(|| format!("cannot list {}", root.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() || FOLDERS.contains(&name.as_str()) {
            collect(&path, &mut files)?;
        }
    }
    files.sort();
    let mut hits = Vec::new();
    for path in files {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let left_out = LEFT_OUT.iter().any(|left_out| is_below(&name, left_out));
        if left_out || below.is_some_and(|below| !is_below(&name, below)) {
            continue;
        }
        let Some(language) = Language::of(&name) else { continue };
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        hits.extend(hits_in(&name, language, &text));
    }
    Ok(hits)
}

fn is_below(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The files at a path, and below it.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if path.file_name().is_some_and(|name| name == "target") {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

/// What is to be rewritten in the text of a file.
#[must_use]
pub fn hits_in(file: &str, language: Language, text: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for passage in passages(language, text) {
        hits.extend(turns_in(file, &passage));
        hits.extend(empty(file, &passage));
    }
    hits
}

fn turns_in(file: &str, passage: &Passage) -> Vec<Hit> {
    let words = &passage.words;
    let text = |index: usize| words.get(index).map_or("", |word| word.text.as_str());
    let matches = |turn: &Turn, at: usize| {
        let same = turn.phrase.iter().enumerate().all(|(offset, word)| text(at + offset) == *word);
        let before = at.checked_sub(1).map_or("", text);
        same && !turn.unless_after.contains(&before) && !turn.unless_before.contains(&text(at + turn.phrase.len()))
    };
    let mut hits = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if let Some(turn) = TURNS.iter().find(|turn| matches(turn, at)) {
            let (phrase, instead) = (turn.phrase.join(" "), turn.instead);
            hits.push(Hit { file: file.to_owned(), line: word.line, phrase, instead });
        }
    }
    hits
}

/// A doc comment whose every word is a filler or part of the documented name.
fn empty(file: &str, passage: &Passage) -> Option<Hit> {
    let name = documented_name(passage.documents.as_ref()?);
    let says = |word: &str| {
        let stem = word.trim_end_matches('s');
        EMPTY.contains(&word) || (stem.len() > 2 && name.contains(stem))
    };
    let words: Vec<&str> =
        passage.words.iter().filter(|word| !word.is_break()).map(|word| word.text.as_str()).collect();
    let has_code = passage.words.iter().filter(|word| word.is_break()).count() > 1;
    if has_code || words.is_empty() || !words.iter().all(|word| says(word)) {
        return None;
    }
    let line = passage.words.first().map_or(0, |word| word.line);
    let instead = "the unit, the range or the reason, or leave the comment out";
    Some(Hit { file: file.to_owned(), line, phrase: words.join(" "), instead })
}

/// The name of a documented item, in lower case; empty where the comment is followed by an attribute.
fn documented_name(line: &str) -> String {
    let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '#');
    let keywords =
        ["pub", "crate", "super", "const", "async", "unsafe", "fn", "struct", "enum", "type", "trait", "mod"];
    let name = words.into_iter().find(|word| !word.is_empty() && !keywords.contains(word)).unwrap_or_default();
    if name.starts_with('#') { String::new() } else { name.to_lowercase() }
}
