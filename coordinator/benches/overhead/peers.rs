//! The engines that ours is measured beside.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Options;

const HQ: &str = "HyperQueue, with a journal";
const HQ_IN_PYTHON: &str = "HyperQueue, no journal";
const RAY: &str = "Ray";

/// Prints the seconds that its tasks took; the machinery is started before and ended after.
const SCRIPT: &str = include_str!("peers.py");

/// The peers there are.
pub(crate) fn names(options: &Options) -> Vec<String> {
    let mut names = Vec::new();
    if options.hq.is_some() {
        names.push(HQ);
    }
    if let Some(python) = &options.python {
        let has = |module: &str| {
            let import = Command::new(python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
            import.is_ok_and(|status| status.success())
        };
        if options.hq.is_none() && has("hyperqueue") {
            names.push(HQ_IN_PYTHON);
        }
        if has("ray") {
            names.push(RAY);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// How long a peer takes for its tasks.
pub(crate) fn run(name: &str, options: &Options) -> Duration {
    let python = |what: &str| in_python(options.python.as_deref().expect("it was there"), what, options.tasks);
    match name {
        HQ => hq(options.hq.as_deref().expect("it was there"), options.tasks),
        HQ_IN_PYTHON => python("hyperqueue"),
        _ => python("ray"),
    }
}

fn in_python(python: &Path, what: &str, tasks: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ran = Command::new(python)
        .args(["-c", SCRIPT, what, &tasks.to_string()])
        .current_dir(folder.path())
        .stderr(Stdio::inherit())
        .output()
        .expect("Python starts");
    assert!(ran.status.success(), "{what} failed");
    let said = String::from_utf8_lossy(&ran.stdout);
    let seconds = said.lines().find_map(|line| line.strip_prefix("seconds "));
    Duration::from_secs_f64(seconds.and_then(|seconds| seconds.parse().ok()).expect("it says how long it took"))
}

/// A process that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hq(program: &Path, tasks: usize) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.arg("--server-dir").arg(folder.path().join("server")).args(arguments).current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let journal = folder.path().join("journal").display().to_string();
    let start = |arguments: &[&str]| Ended(command(arguments).spawn().expect("hq starts"));
    let _server = start(&["server", "start", "--journal", &journal]);
    let succeeds = |arguments: &[&str]| command(arguments).status().is_ok_and(|status| status.success());
    while !succeeds(&["server", "info"]) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _worker = start(&["worker", "start"]);
    assert!(succeeds(&["worker", "wait", "1"]), "the worker of HyperQueue comes");
    let began = Instant::now();
    let array = format!("1-{tasks}");
    let done = succeeds(&["submit", "--array", &array, "--stdout", "none", "--stderr", "none", "--wait", "--", "true"]);
    assert!(done, "the tasks of HyperQueue succeed");
    began.elapsed()
}
