//! Runs the program on a case and compares.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use npyz::NpyFile;
use serde_json::Value;

use super::expected::{Accept, Case};

pub(super) struct Program {
    path: PathBuf,
}

/// What a command did.
struct Ran {
    exit: Option<i32>,
    /// Both streams, in small letters and on one line.
    output: String,
    /// The JSON output of all commands, where it is asked for and they print it.
    json: Vec<Value>,
}

impl Program {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// `Err` has what is wrong with each way to be right.
    pub(super) fn judge(&self, case: &Case, inputs: &Path) -> Result<Result<(), Vec<String>>> {
        let out = tempfile::tempdir().context("cannot make a folder")?;
        let ran = self.run(case, inputs, out.path())?;
        let mut wrong = Vec::new();
        for accept in &case.accept {
            match fault(accept, &ran, inputs, out.path()) {
                None => return Ok(Ok(())),
                Some(fault) => wrong.push(fault),
            }
        }
        let said: String = ran.output.chars().take(400).collect();
        wrong.push(format!("it said: {said}"));
        Ok(Err(wrong))
    }

    fn run(&self, case: &Case, inputs: &Path, out: &Path) -> Result<Ran> {
        let needs_json = case.accept.iter().any(|accept| !accept.json.is_empty() || !accept.equal.is_empty());
        let mut ran = Ran { exit: None, output: String::new(), json: Vec::new() };
        for (index, command) in case.run.iter().enumerate() {
            let plain = self.start(command, inputs, &out.join("plain"), false)?;
            let is_last = index + 1 == case.run.len();
            if is_last {
                let [stdout, stderr] = [&plain.stdout, &plain.stderr].map(|bytes| String::from_utf8_lossy(bytes));
                let words: Vec<&str> = stdout.split_whitespace().chain(stderr.split_whitespace()).collect();
                ran.exit = plain.status.code();
                ran.output = words.join(" ").to_lowercase();
            }
            if needs_json {
                let json = self.start(command, inputs, &out.join("json"), true)?;
                ran.json.extend(serde_json::from_slice::<Value>(&json.stdout).ok());
            }
        }
        Ok(ran)
    }

    fn start(&self, command: &[String], inputs: &Path, out: &Path, json: bool) -> Result<std::process::Output> {
        std::fs::create_dir_all(out).context("cannot make a folder")?;
        let placed: Vec<String> = command.iter().map(|word| word.replace("{out}", &out.to_string_lossy())).collect();
        let mut process = Command::new(&self.path);
        process.args(&placed).current_dir(inputs).stdin(Stdio::null());
        if !placed.iter().any(|word| word == "--data-dir") {
            process.arg("--data-dir").arg(out.join("data"));
        }
        if json {
            process.arg("--json");
        }
        process.output().context("cannot start the program")
    }
}

/// What does not hold; `None` if all does.
fn fault(accept: &Accept, ran: &Ran, inputs: &Path, out: &Path) -> Option<String> {
    if accept.exit.is_some() && accept.exit != ran.exit {
        return Some(format!("exit code {:?} and not {:?}", ran.exit, accept.exit));
    }
    for word in &accept.words {
        if !ran.output.contains(&word.to_lowercase()) {
            return Some(format!("nothing is said of {word:?}"));
        }
    }
    if let Some(word) = accept.never.iter().find(|word| ran.output.contains(&word.to_lowercase())) {
        return Some(format!("it says {word:?}"));
    }
    for (path, right) in &accept.json {
        let found: Option<f64> = ran.json.last().and_then(|json| path.split('+').map(|path| number(json, path)).sum());
        match found {
            Some(found) if (found - right).abs() <= accept.tolerance * right.abs() => {}
            _ => return Some(format!("{path} is {found:?} and not {right}")),
        }
    }
    for path in &accept.equal {
        let values: Vec<Option<&Value>> = ran.json.iter().map(|json| at(json, path)).collect();
        if values.len() < 2 || values.iter().any(|value| value.is_none() || *value != values[0]) {
            return Some(format!("{path} differs: {values:?}"));
        }
    }
    accept.arrays.iter().find_map(|[written, right]| {
        let written = written.replace("{out}", &out.join("plain").to_string_lossy());
        match (array(Path::new(&written)), array(&inputs.join(right))) {
            (Ok(written), Ok(right)) => differs(&written, &right),
            (Err(error), _) | (_, Err(error)) => Some(format!("{error:#}")),
        }
    })
}

fn at<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(json, |value, key| match key.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index),
        _ => value.get(key),
    })
}

fn number(json: &Value, path: &str) -> Option<f64> {
    at(json, path)?.as_f64()
}

fn array(path: &Path) -> Result<Vec<f32>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let file = NpyFile::new(BufReader::new(file)).with_context(|| format!("cannot read {}", path.display()))?;
    match file.try_data::<f32>() {
        Ok(values) => Ok(values.collect::<std::io::Result<_>>()?),
        Err(file) => {
            let values = file.try_data::<f64>().map_err(|_| anyhow::anyhow!("{} has no floats", path.display()))?;
            Ok(values.map(|value| value.map(|value| value as f32)).collect::<std::io::Result<_>>()?)
        }
    }
}

fn differs(written: &[f32], right: &[f32]) -> Option<String> {
    if written.len() != right.len() {
        return Some(format!("{} numbers and not {}", written.len(), right.len()));
    }
    let largest = written.iter().zip(right).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
    let is_finite = written.iter().all(|value| value.is_finite());
    (largest > 1e-3 || !is_finite).then(|| format!("the arrays differ by up to {largest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(text: &str) -> Accept {
        toml::from_str(text).expect("an expectation")
    }

    fn ran() -> Ran {
        let json = |id: &str| serde_json::json!({"a": {"b": [1.0, 2.0]}, "id": id});
        Ran { exit: Some(2), output: "error: the table has two columns".to_owned(), json: vec![json("x"), json("y")] }
    }

    fn says(expected: &str) -> Option<String> {
        fault(&accept(expected), &ran(), Path::new("."), Path::new("."))
    }

    #[test]
    fn each_demand_can_fail() {
        for holds in [
            "exit = 2",
            "words = ['Two Columns']",
            "never = ['nats']",
            "json = {'a.b.1' = 2.0}",
            "json = {'a.b.0+a.b.1' = 3}",
        ] {
            assert_eq!(says(holds), None, "{holds}");
        }
        let fails = [
            "exit = 0",
            "words = ['three columns']",
            "never = ['two columns']",
            "json = {'a.b.1' = 2.1}",
            "json = {'a.c' = 1}",
            "equal = ['id']",
            "equal = ['none']",
            "arrays = [['none.npy', 'none.npy']]",
        ];
        for expected in fails {
            assert!(says(expected).is_some(), "{expected}");
        }
        assert_eq!(says("equal = ['a.b']"), None);
        assert_eq!(says("json = {'a.b.1' = 2.1}\ntolerance = 0.1"), None);
    }

    #[test]
    fn arrays_are_compared_number_by_number() {
        assert_eq!(differs(&[1.0, 2.0], &[1.0, 2.0005]), None);
        assert!(differs(&[1.0], &[1.0, 2.0]).is_some() && differs(&[1.0], &[1.1]).is_some());
        assert!(differs(&[f32::NAN], &[f32::NAN]).is_some());
    }
}
