//! A whole campaign by one command on a login node, which leaves nothing running there.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::engine::Engine;
use crate::site::{PROGRAM, json};
use crate::support::process::{Running, process_with, wait_for};
use crate::support::{Place, Ran, smoke_recipe};

/// A trunk with two branches of each size, which trains for long enough to be disturbed.
fn recipe() -> String {
    let smoke = smoke_recipe();
    let recipe = smoke.replace("tokens = [5_120, 10_240, 20_480]", "tokens = [1_024_000, 2_048_000]");
    assert_ne!(recipe, smoke, "the smoke recipe has the points that this test expects");
    recipe
}

/// The command, in a process group of its own, and whether a process of that group is left after it.
fn submit(engine: &Engine, place: &Place) -> (Value, bool) {
    let mut command = place.command(&[
        "submit",
        "smoke.toml",
        "--json",
        "--slurm",
        "--time",
        "10m",
        "--max",
        "2",
        "--gpus-per-worker",
        "0",
        "--device",
        "flex",
        "--program",
        PROGRAM,
        "--coordinator-time",
        "20m",
        "--coordinator-sbatch=--mem=500",
        "--serve=--listen=127.0.0.1:0",
        "--serve=--slurm-poll=1",
        "--serve=--lease=10",
        "--",
        "--cpus-per-task=1",
        "--mem=500",
    ]);
    fs::create_dir_all(place.path("tmp")).expect("made");
    command.env("SLURM_CONF", engine.conf()).env("TMPDIR", place.path("tmp")).process_group(0);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let group = child.id();
    let ran = Ran::of(child.wait_with_output().expect("it ends")).expect(0);
    let left = Command::new("sh").args(["-c", &format!("kill -0 -- -{group}")]).stderr(Stdio::null()).status();
    (json(&ran.stdout), left.expect("sh starts").success())
}

pub(crate) fn one_command_on_a_login_node_trains_a_campaign_and_leaves_no_job() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    place.write("smoke.toml", &recipe());
    let (submitted, is_something_left) = submit(&engine, &place);
    assert!(!is_something_left, "the command left a process");
    let job = submitted["job"].as_u64().expect("a job").to_string();
    assert_eq!(submitted["is_found"], false);

    // The line that it prints, word for word.
    let line = submitted["watch"].as_str().expect("a text").to_owned();
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    let log = fs::File::create(place.path("watch.log")).expect("made");
    let mut elsewhere = place.command(&words);
    elsewhere.env("WINDTUNNEL_DATA_DIR", place.path("elsewhere"));
    let mut watched = Running::start_between(&mut elsewhere, log.try_clone().expect("can be shared"), log);

    // The same command again finds the job and the campaign, whether the coordinator has started yet or not.
    let said = || fs::read_to_string(place.path("data/slurm/coordinator.log")).unwrap_or_default();
    wait_for("a worker to be given something", || said().contains("assigned stage").then_some(()));
    let (again, _) = submit(&engine, &place);
    assert_eq!((&again["job"], &again["is_found"]), (&submitted["job"], &true.into()), "{again}");
    assert_eq!(again["campaign"], submitted["campaign"]);

    // As Slurm warns it of its time limit: the coordinator's job puts itself back into the queue, starts again, and finds its
    // workers and its state.
    engine.run("scancel", &["--batch", "--signal=USR1", &job]);
    engine.wait_for_state(&job, &["PENDING"]);
    wait_for("another coordinator", || {
        (said().matches("coordinator::start::announce: announced").count() > 1).then_some(())
    });

    assert_eq!(
        watched.wait().code(),
        Some(0),
        "{}\n{}",
        fs::read_to_string(place.path("watch.log")).unwrap_or_default(),
        said()
    );
    let queue = || engine.said("squeue", &["-h", "-o", "%A %j %T"]);
    wait_for("the queue to be empty", || queue().trim().is_empty().then_some(()));
    let data_dir = place.path("data").display().to_string();
    wait_for("no process to be left", || process_with(&["--data-dir", &data_dir, "serve"]).is_none().then_some(()));
    assert!(!place.path("data/slurm/rendezvous.json").exists());
    assert_eq!(engine.state(&job).as_deref(), Some("COMPLETED"), "{}", said());
    assert!(said().contains("no campaign is open and no pool has a job: stopping"), "{}", said());
    assert!(!said().contains("wt_"), "a token in a log");

    place.run(&["report", "smoke"]).expect(0);
    let local = Place::new();
    local.write("smoke.toml", &recipe());
    local.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), local.points("out/smoke"));
    for name in ["pool.toml", "recipe.toml", "coordinator.sbatch"] {
        assert!(place.path("data/slurm").join(name).exists(), "{name}");
    }
}

#[test]
fn what_slurm_would_refuse_is_said_before_anything_is_prepared() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let submit = |args: &[&str]| {
        let mut command = place.command(&[&["submit", "smoke.toml", "--slurm"], args].concat());
        Ran::of(command.env("SLURM_CONF", engine.conf()).output().expect("starts"))
    };
    let refused = submit(&["--gpus-per-worker", "0", "--", "-p", "nowhere"]).expect(2);
    assert!(refused.stderr.contains("Slurm would not take a worker's job"), "{}", refused.stderr);
    let refused = submit(&["--coordinator", "https://login-1:7450"]).expect(2);
    assert!(refused.stderr.contains("--slurm starts a coordinator of its own"), "{}", refused.stderr);
    assert!(!place.path("data/datasets").exists());
    assert_eq!(engine.said("squeue", &["-h"]), "");
    let without = place.run(&["submit", "smoke.toml", "--max", "2"]).expect(2);
    assert!(without.stderr.contains("--slurm"), "{}", without.stderr);
}
