//! Hyper-parameter searches, end to end: trials and points do not depend on the number of workers, on kills, or on whether the
//! search was planned in full or extended.

mod support;

use serde_json::Value;
use support::process::{Running, wait_for};
use support::{Place, one_at_a_time, smoke_recipe};

/// A place whose recipe is a search of so many trials: the first three random, the others by TPE, and ASHA with two rungs.
fn place(trials: u32) -> Place {
    let place = Place::new();
    let recipe = smoke_recipe()
        .replace("sizes = [\"smoke-16\", \"smoke-32\"]", "sizes = [\"smoke-16\"]")
        .replace("tokens = [5_120, 10_240, 20_480]", "tokens = [102_400]");
    let search = format!(
        "\n[search]\nsampler = \"tpe\"\ntrials = {trials}\nparallel = 3\nstartup = 3\n\
         [search.space]\npeak_lr = {{ low = 1e-3, high = 1e-1, scale = \"log\" }}\n\
         scale_emb = {{ values = [2, 4, 8, 12] }}\n\
         [search.pruner]\nkind = \"asha\"\nreduction = 2\nrungs = [0.1, 0.3]\n"
    );
    place.write("search.toml", &format!("{recipe}{search}"));
    place
}

fn shown(place: &Place) -> Value {
    let shown = place.run(&["show", "smoke", "--json"]).expect(0).stdout;
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"))
}

fn run(place: &Place, workers: &str) -> String {
    place.run(&["run", "search.toml", "--workers", workers]).expect(0);
    place.points("out/smoke")
}

#[test]
fn one_worker_and_three_and_a_run_that_is_killed_find_the_same() {
    let _turn = one_at_a_time();
    let alone = place(8);
    let points = run(&alone, "1");
    let rows: Vec<&str> = points.lines().skip(1).collect();
    assert_eq!(rows.len(), 8, "every trial has ended: {points}");
    assert!(
        points
            .lines()
            .next()
            .is_some_and(|header| header.ends_with(",passes,scale_emb") && header.contains(",trial,state,loss_se,")),
        "{points}"
    );
    let ended = |state: &str| rows.iter().filter(|row| row.contains(state)).count();
    assert!(ended(",completed,") >= 1 && ended(",pruned,") >= 2, "{points}");

    let best = alone.run(&["show", "smoke"]).expect(0).stdout;
    assert!(best.contains("pruned at ") && best.contains("[optimizer]\npeak_lr = ["), "{best}");
    let again = alone.run(&["run", "search.toml"]).expect(0);
    assert!(!again.stderr.contains("stages, "), "nothing was to be trained: {}", again.stderr);

    let together = place(8);
    assert_eq!(run(&together, "3"), points, "three workers");

    let killed = place(8);
    let running = Running::silent(&mut killed.command(&["run", "search.toml", "--workers", "2"]));
    wait_for("a trial that has ended", || {
        let shown = killed.run(&["show", "smoke", "--json"]);
        let trials: Value = serde_json::from_str(&shown.stdout).ok()?;
        let pruned = trials["campaign"]["trials"]["pruned"].as_u64()?;
        (pruned + trials["campaign"]["trials"]["completed"].as_u64()? > 0).then_some(())
    });
    running.kill_group();
    assert_eq!(shown(&killed)["campaign"]["phase"], "open", "it was killed in the middle");
    assert_eq!(run(&killed, "2"), points, "killed in the middle");
}

#[test]
fn more_trials_go_on_with_the_search() {
    let _turn = one_at_a_time();
    let whole = place(7);
    let points = run(&whole, "2");

    let extended = place(4);
    run(&extended, "2");
    let campaign = shown(&extended)["campaign"]["campaign"].clone();
    let added = extended.run(&["extend", "smoke", "--trials", "7", "--workers", "2"]).expect(0);
    assert!(added.stderr.contains("grows by 3 trials"), "{}", added.stderr);
    assert_eq!(extended.points("out/smoke"), points);
    let shown = shown(&extended);
    assert_eq!(shown["campaign"]["campaign"], campaign, "it is the same campaign");
    let stages = shown["stages"].as_array().expect("has stages");
    assert!(stages.iter().all(|stage| stage["attempt"] == 1), "nothing is trained twice");

    // The recipe with more trials in it is the same search, too.
    let edited = place(4);
    run(&edited, "2");
    let larger =
        std::fs::read_to_string(edited.path("search.toml")).expect("is there").replace("trials = 4\n", "trials = 7\n");
    edited.write("search.toml", &larger);
    assert_eq!(run(&edited, "2"), points);
}
