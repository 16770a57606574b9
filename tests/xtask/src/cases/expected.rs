//! What is right, by case.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

const FILES: [(&str, &str); 3] = [
    ("tables.toml", include_str!("expected/tables.toml")),
    ("corpora.toml", include_str!("expected/corpora.toml")),
    ("models.toml", include_str!("expected/models.toml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// One input and what is right of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// Unique; cases of one folder share their beginning.
    pub(super) id: String,
    /// Name of the folder of its inputs.
    pub(super) folder: String,
    /// Commands, run in the folder one after the other; the last is judged. `{out}` is a folder to write to.
    pub(super) run: Vec<Vec<String>>,
    /// Ways to be right.
    pub(super) accept: Vec<Accept>,
}

/// One way to be right: all of it must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accept {
    /// The exit code.
    pub(super) exit: Option<i32>,
    /// Values in the JSON output, by path: `intervals.alpha.0`, or `a.b+a.c` for a sum.
    #[serde(default)]
    pub(super) json: BTreeMap<String, f64>,
    /// Relative tolerance of them.
    #[serde(default = "tolerance")]
    pub(super) tolerance: f64,
    /// Words that the output has, in any letter case and whatever its line breaks.
    #[serde(default)]
    pub(super) words: Vec<String>,
    /// Words that it must not have.
    #[serde(default)]
    pub(super) never: Vec<String>,
    /// Paths in the JSON output of all commands that must be equal.
    #[serde(default)]
    pub(super) equal: Vec<String>,
    /// Arrays that must be equal, in pairs: what was written, and what is right.
    #[serde(default)]
    pub(super) arrays: Vec<[String; 2]>,
}

fn tolerance() -> f64 {
    1e-4
}

/// All cases.
pub(super) fn all() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (name, text) in FILES {
        let file: File = toml::from_str(text).with_context(|| format!("cannot read {name}"))?;
        cases.extend(file.case);
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_says_what_is_right() {
        let cases = all().expect("readable");
        let names: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        for case in &cases {
            assert!(!case.run.is_empty() && !case.accept.is_empty(), "{}", case.id);
            for accept in &case.accept {
                let Accept { exit, json, words, never, equal, arrays, .. } = accept;
                let demands = json.len() + words.len() + never.len() + equal.len() + arrays.len();
                assert!(exit.is_some() || demands > 0, "{}: nothing is demanded", case.id);
            }
        }
    }
}
