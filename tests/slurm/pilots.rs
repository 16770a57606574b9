//! Pilots that are preempted, cancelled, requeued, and given nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::engine::{Engine, LOW};
use crate::site::Site;
use crate::support::process::wait_for;
use crate::support::{Place, smoke_recipe};

/// No checkpoint is taken before one has to be, and a worker takes less than the ten seconds for which Slurm waits here.
pub(crate) const WORKER: &str = "--checkpoint-interval 1000000 --grace 8";

fn recipe() -> String {
    let recipe = smoke_recipe();
    let longer = recipe.replace("tokens = [5_120, 10_240, 20_480]", "tokens = [102_400, 409_600]");
    assert_ne!(longer, recipe, "the smoke recipe has the points that this test expects");
    longer
}

/// Preemption without any grace sends SIGTERM twice within milliseconds, and requeues the job.
#[test]
fn a_campaign_under_preemption_and_cancellation_loses_no_step_and_ends_with_the_points_of_a_local_run() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    place.write("smoke.toml", &recipe());
    let site = Site::start(&engine, &place);
    place.run(&["submit", "smoke.toml"]).expect(0);

    let pilot = site.pilot(&["--partition", LOW], WORKER);
    site.wait_for_steps(0);
    let args = ["--parsable", "--nodelist=n1", "--exclusive", "--output=/dev/null", "--wrap", "sleep 2"];
    let urgent = engine.run("sbatch", &args);
    engine.wait_for_state(urgent.trim(), &["RUNNING", "COMPLETING", "COMPLETED"]);
    engine.wait_for_state(&pilot.id, &["PENDING"]);
    site.assert_nothing_is_lost();
    let before = site.steps();

    // Slurm starts it again, under the same number.
    let worker =
        wait_for("the pilot to come back", || site.workers().into_iter().find(|worker| worker["restart"] == 1));
    assert_eq!((&worker["job"], &worker["node"]), (&pilot.id.as_str().into(), &"n1".into()));
    assert!(worker["until_ms"].is_u64(), "{worker}");
    site.wait_for_steps(before);
    assert!(site.log().contains(&format!("job {} (restart 1) on n1", pilot.id)), "{}", site.log());
    engine.run("scancel", &[&pilot.id]);
    engine.wait_for_state(&pilot.id, &["CANCELLED"]);
    wait_for("the worker to be gone", || site.workers().is_empty().then_some(()));
    site.assert_nothing_is_lost();

    // Two tasks train the rest, and end by themselves.
    let last = site.pilot(&["--ntasks-per-node=2"], WORKER);
    place.run(&["watch", "smoke"]).expect(0);
    place.run(&["report", "smoke"]).expect(0);
    let disturbed = place.points("out/smoke");
    assert_eq!(engine.wait_for_state(&last.id, &["COMPLETED", "FAILED"]), "COMPLETED", "{}", last.log());
    assert!(last.log().contains("there was nothing to do"), "{}", last.log());

    let undisturbed = Place::new();
    undisturbed.write("smoke.toml", &recipe());
    undisturbed.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(disturbed, undisturbed.points("out/smoke"));
}

/// A program that stands in for the real one: it notes how it was called, and ends with a code for each task.
fn stand_in(place: &Place, codes: [i32; 2]) -> String {
    let script = format!(
        "#!/usr/bin/env bash\n\
         echo \"$SLURM_PROCID: $* gpus=${{CUDA_VISIBLE_DEVICES:-none}}\"\n\
         codes=({} {})\n\
         exit \"${{codes[$SLURM_PROCID]}}\"\n",
        codes[0], codes[1]
    );
    let path = place.write(&format!("stand-in-{}-{}", codes[0], codes[1]), &script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path.display().to_string()
}

#[test]
fn a_pilot_ends_as_the_worst_of_its_tasks_and_is_told_by_variables_what_to_start() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/slurm/workers.sbatch").display().to_string();
    let has_gpus = fs::read_to_string(engine.path("gres.conf")).is_ok_and(|text| !text.is_empty());
    let gpus = if has_gpus { "--gpus-per-task=1" } else { "--gpus-per-task=0" };
    let submit = |codes, export: &str, array: Option<&str>| {
        let log = place.path(&format!("{codes:?}-{export}.log"));
        let output = format!("--output={}", log.display());
        let mut sbatch = engine.command("sbatch");
        sbatch.args([
            "--parsable",
            "--ntasks-per-node=2",
            "--cpus-per-task=1",
            "--mem-per-cpu=100M",
            gpus,
            "--time=10",
        ]);
        sbatch.args(array).args([&output, export, &script]).env("WINDTUNNEL_PROGRAM", stand_in(&place, codes));
        sbatch.env("WINDTUNNEL_COORDINATOR", "https://login-1:7450").env("WINDTUNNEL_DEVICE_MEMORY", "80");
        sbatch.env("WINDTUNNEL_WORKER_ARGS", "--grace 5").env("TMPDIR", place.path(""));
        sbatch.env_remove("WINDTUNNEL_DEVICE").env_remove("WINDTUNNEL_DATA_DIR");
        let submitted = sbatch.output().expect("starts");
        assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
        (String::from_utf8_lossy(&submitted.stdout).trim().to_owned(), log)
    };
    let (hidden, _) = submit([75, 1], "--export=ALL", None);
    let (unreachable, _) = submit([69, 75], "--export=ALL", None);
    let (preempted, log) = submit([75, 75], "--export=ALL", Some("--array=3"));
    assert_eq!(engine.wait_for_state(&hidden, &["FAILED", "COMPLETED"]), "FAILED");
    assert_eq!(engine.exit_code(&hidden), Some(1), "75 hides nothing");
    assert_eq!(engine.wait_for_state(&unreachable, &["FAILED", "COMPLETED"]), "FAILED");
    assert_eq!(engine.exit_code(&unreachable), Some(69));
    let preempted = format!("{preempted}_3");
    assert_eq!(engine.wait_for_state(&preempted, &["FAILED", "COMPLETED"]), "COMPLETED");

    let said = fs::read_to_string(&log).expect("is written");
    let line = said.lines().find(|line| line.starts_with("1: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("--log info worker --device cuda:0 --threads 1 --idle-timeout 600"), "{line}");
    assert!(line.contains(" --device-memory 80 --until "), "{line}");
    assert!(line.contains(" --grace 5 "), "{line}");
    let until = line.split_once("--until ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    let until: u64 = until.expect("the job has a limit");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(until.abs_diff(now) < 3600, "{until} is not within an hour of {now}");
    if has_gpus {
        let gpus: Vec<&str> = said.lines().filter_map(|line| line.split_once("gpus=")).map(|(_, gpu)| gpu).collect();
        assert!(gpus.len() == 2 && gpus.iter().all(|gpu| gpu.parse::<u32>().is_ok()), "{said}");
    }
}
