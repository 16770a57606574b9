//! A coordinator, and pilots that come to it from an engine by `deploy/slurm/workers.sbatch`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::engine::Engine;
use crate::support::Place;
use crate::support::process::{Running, wait_for};

/// Built in the development profile, as Cargo does for tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_windtunnel");

/// How a coordinator is started.
pub(crate) const SERVE: [&str; 4] = ["serve", "--listen", "127.0.0.1:0", "--json"];

/// Options of a pilot for a node without GPUs: one worker on the CPU, on the first node.
const SMALL: [&str; 6] = [
    "--parsable",
    "--nodelist=n1",
    "--ntasks-per-node=1",
    "--cpus-per-task=1",
    "--mem-per-cpu=100M",
    "--gpus-per-task=0",
];

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A job of an engine.
pub(crate) struct Job {
    pub(crate) id: String,
    log: PathBuf,
}

impl Job {
    /// What its tasks wrote so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_for(&format!("{text:?} in the log of job {}", self.id), || self.log().contains(text).then_some(()));
    }
}

/// A coordinator in a [`Place`].
pub(crate) struct Site<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) place: &'a Place,
    pub(crate) serve: Running,
    /// Where workers of other users and machines dial.
    pub(crate) url: String,
    /// Where those of this user dial.
    socket: String,
}

impl<'a> Site<'a> {
    /// Starts the coordinator; its log is `serve.log`.
    pub(crate) fn start(engine: &'a Engine, place: &'a Place) -> Self {
        Self::start_by(engine, place, &mut place.command(&SERVE))
    }

    /// Starts it by a command that ends in [`SERVE`].
    pub(crate) fn start_by(engine: &'a Engine, place: &'a Place, command: &mut Command) -> Self {
        let said = place.path("serving.json");
        let log = File::create(place.path("serve.log")).expect("made");
        let serve = Running::start_between(command, File::create(&said).expect("made"), log);
        let serving =
            wait_for("the coordinator", || fs::read_to_string(&said).ok().filter(|text| text.ends_with('\n')));
        let text = |key: &str| json(&serving)[key].as_str().expect("is said").to_owned();
        Self { engine, place, serve, url: text("url"), socket: text("socket") }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path("serve.log")).expect("is written")
    }

    /// Submits a pilot of this user. `options` are sbatch's, `worker` are those of its workers.
    pub(crate) fn pilot(&self, options: &[&str], worker: &str) -> Job {
        self.submit(Command::new("sbatch"), &self.socket, options, worker)
    }

    /// Submits a pilot by `sbatch`, which may be preceded by what changes the user.
    pub(crate) fn submit(&self, mut sbatch: Command, coordinator: &str, options: &[&str], worker: &str) -> Job {
        let jobs = self.place.path("jobs");
        fs::create_dir_all(&jobs).expect("made");
        fs::set_permissions(&jobs, fs::Permissions::from_mode(0o777)).expect("ours");
        let log = jobs.join("%j.log");
        sbatch.args(SMALL).args([format!("--output={}", log.display()), format!("--chdir={}", jobs.display())]);
        // Another user may be unable to read it where it lies.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/slurm/workers.sbatch");
        let readable = jobs.join("workers.sbatch");
        fs::copy(script, &readable).expect("there is space");
        sbatch.args(options).arg(readable);
        sbatch.env("SLURM_CONF", self.engine.conf()).env("WINDTUNNEL_COORDINATOR", coordinator);
        if sbatch.get_envs().all(|(name, _)| name != "WINDTUNNEL_PROGRAM") {
            sbatch.env("WINDTUNNEL_PROGRAM", PROGRAM);
        }
        sbatch.env("WINDTUNNEL_DEVICE", "flex").env("TMPDIR", &jobs);
        sbatch.env("WINDTUNNEL_IDLE_TIMEOUT", "5");
        sbatch.env("WINDTUNNEL_WORKER_ARGS", worker).env_remove("WINDTUNNEL_DATA_DIR").env_remove("RUST_LOG");
        let output = sbatch.output().expect("starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Job { log: jobs.join(format!("{id}.log")), id }
    }

    pub(crate) fn workers(&self) -> Vec<Value> {
        let listed = json(&self.place.run(&["workers", "--json"]).expect(0).stdout);
        listed["workers"].as_array().expect("is a list").clone()
    }

    /// Steps on the campaign's curves.
    pub(crate) fn steps(&self) -> u64 {
        let ran = self.place.run(&["curves", "smoke"]).expect(0);
        ran.stdout.lines().count().saturating_sub(1) as u64
    }

    /// Waits until more is trained than this.
    pub(crate) fn wait_for_steps(&self, beyond: u64) {
        wait_for("a step", || (self.steps() > beyond).then_some(()));
    }

    fn stages(&self) -> Vec<Value> {
        let shown = json(&self.place.run(&["show", "smoke", "--json"]).expect(0).stdout);
        shown["stages"].as_array().expect("has stages").clone()
    }

    /// Asserts that everything that was trained so far is in a checkpoint, and that workers handed back what they had.
    #[track_caller]
    pub(crate) fn assert_nothing_is_lost(&self) {
        let stages = self.stages();
        let committed: u64 = stages.iter().map(committed_steps).sum();
        assert_eq!(committed, self.steps(), "{stages:#?}");
        let log = self.log();
        for line in log.lines().filter(|line| line.contains("an attempt ended")) {
            assert!(line.contains("handed back by its worker"), "{line}");
        }
    }
}

/// The steps of a stage that are in its last checkpoint.
fn committed_steps(stage: &Value) -> u64 {
    let step = |key: &str| stage[key].as_u64();
    let is_completed = stage["phase"] == "completed";
    let committed = if is_completed { step("end_step") } else { step("committed_step") };
    committed.map_or(0, |committed| committed - step("start_step").expect("every stage has one"))
}
