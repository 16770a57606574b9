//! Pilots whose time is up.

use std::time::Duration;

use crate::engine::Engine;
use crate::pilots::WORKER;
use crate::site::Site;
use crate::support::process::wait_for;
use crate::support::{Place, smoke_recipe};

/// Four stages that can be trained side by side, for minutes.
fn recipe() -> String {
    let recipe = smoke_recipe();
    let longer = recipe.replace("tokens = [5_120, 10_240, 20_480]", "tokens = [5_120_000]");
    let wider = longer.replace("seeds = [0]", "seeds = [0, 1]");
    assert!(longer != recipe && wider != longer, "the smoke recipe has the points that this test expects");
    wider
}

/// One pilot is warned while its coordinator is away for longer than the grace, one is warned by Slurm as the script asks, and
/// one is not warned at all and leaves before its limit. Only the last one's limit runs while workers start; the one that Slurm
/// warns gets its limit once all train.
pub(crate) fn pilots_hand_their_stages_back_before_their_time_is_up() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    place.write("smoke.toml", &recipe());
    let site = Site::start(&engine, &place);
    place.run(&["submit", "smoke.toml"]).expect(0);
    let alone = site.pilot(&["--time=10", "--signal=USR1@60"], "--checkpoint-interval 1000000 --grace 4");
    let warned = site.pilot(&["--time=30", "--signal=USR1@20"], WORKER);
    alone.wait_for_log("training");
    warned.wait_for_log("training");
    let unwarned = site.pilot(&["--time=2", "--signal=URG@1"], WORKER);
    unwarned.wait_for_log("training");
    wait_for("three workers to train", || {
        let training = |worker: &serde_json::Value| worker["step"].as_u64().is_some();
        (site.workers().iter().filter(|worker| training(worker)).count() == 3).then_some(())
    });

    engine.limit_to_soon(&warned.id);
    site.serve.signal("STOP");
    engine.run("scancel", &["--signal=USR1", &alone.id]);
    alone.wait_for_log("told ahead of time to leave");
    // Twice its grace.
    std::thread::sleep(Duration::from_secs(8));
    site.serve.signal("CONT");
    for (pilot, said) in [
        (&alone, "told ahead of time to leave"),
        (&warned, "told ahead of time to leave"),
        (&unwarned, "this machine is taken away soon"),
    ] {
        let state = engine.wait_for_state(&pilot.id, &["COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL"]);
        assert_eq!(state, "COMPLETED", "{}", pilot.log());
        assert!(pilot.log().contains(said), "{}", pilot.log());
        assert!(!pilot.log().contains("the grace period is over"), "{}", pilot.log());
    }
    site.assert_nothing_is_lost();
}
