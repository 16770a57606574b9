//! Workers under a real Slurm, whatever it does to them: no step is lost, and the results are those of a local run.
//!
//! Skipped where Slurm is not installed. With `WINDTUNNEL_TEST_SLURM=1` that is an error.

#[path = "../support/mod.rs"]
mod support;

mod engine;
mod guide;
mod pilots;
mod pool;
mod pool_site;
mod site;
mod submit;
mod times;
mod users;

use std::thread;

/// Scenarios that mostly wait, for time limits and for Slurm, wait side by side: each has an engine of its own.
fn side_by_side(scenarios: &[fn()]) {
    thread::scope(|scope| {
        for scenario in scenarios {
            scope.spawn(scenario);
        }
    });
}

#[test]
fn pools_and_pilots_whose_jobs_end_badly_or_are_out_of_time() {
    side_by_side(&[
        times::pilots_hand_their_stages_back_before_their_time_is_up,
        pool::what_a_job_is_told_holds_no_token_and_its_time_limit_is_nobodys_fault,
        pool::five_jobs_that_end_at_once_pause_the_pool_and_it_says_why,
        pool::a_node_whose_prolog_fails_and_one_whose_jobs_end_at_once_are_avoided,
    ]);
}

#[test]
fn campaigns_by_one_command_and_by_the_guide() {
    side_by_side(&[
        submit::one_command_on_a_login_node_trains_a_campaign_and_leaves_no_job,
        guide::the_commands_of_the_guide_make_the_points_of_a_local_run,
    ]);
}
