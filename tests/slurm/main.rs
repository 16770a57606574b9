//! Workers under a real Slurm, whatever it does to them: no step is lost, and the results are those of a local run.
//!
//! Skipped where Slurm is not installed. With `WINDTUNNEL_TEST_SLURM=1` that is an error.

#[path = "../support/mod.rs"]
mod support;

mod engine;
mod pool;

use engine::Engine;

#[test]
fn an_engine_runs_jobs_and_outlives_its_controller_and_a_node() {
    let Some(engine) = Engine::start() else { return };
    let job = engine.run("sbatch", &["--parsable", "--output=/dev/null", "--wrap", "exit 3"]);
    let job = job.trim();
    engine.wait_for_state(job, &["FAILED"]);
    assert_eq!(engine.exit_code(job), Some(3));
    engine.stop_controller();
    engine.start_controller();
    let sleeps = engine.run("sbatch", &["--parsable", "-w", "n2", "--output=/dev/null", "--wrap", "sleep 100"]);
    let sleeps = sleeps.trim();
    engine.wait_for_state(sleeps, &["RUNNING"]);
    engine.kill_node("n2");
    engine.start_node("n2");
    engine.run("scancel", &[sleeps]);
    engine.wait_for_state(sleeps, &["CANCELLED"]);
}
