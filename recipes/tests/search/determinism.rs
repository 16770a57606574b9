//! Neither workers, nor orders, nor restarts decide anything.

use proptest::prelude::*;
use recipes::search::{Outcome, TrialEnd, grow};
use vocabulary::StageSpec;

use super::play::{ASHA, SPACE, assert_grown, bowl, play, search};

/// As the bowl, but with trials that diverge and trials that are given up.
fn with_accidents(spec: &StageSpec) -> Outcome {
    let key = spec.key(None);
    match key.as_bytes()[0] {
        0..20 => Outcome::Diverged,
        20..30 => Outcome::Failed,
        _ if spec.peak_lr > 0.08 => Outcome::Completed { loss: None },
        _ => bowl(spec),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_fleet_in_any_order_with_any_restarts_makes_the_same_search(
        sampler in prop::sample::select(vec!["random", "tpe", "grid"]),
        pruned in any::<bool>(),
        parallel in 1_u32..7,
        trials in 1_u32..40,
        seed in 0_u64..1000,
        workers in 1_usize..12,
        luck in 1_u64..1_000_000,
        restarts in any::<bool>(),
    ) {
        let space = if sampler == "grid" {
            "[search.space]\npeak_lr = { low = 1e-3, high = 1e-1, scale = \"log\", levels = 5 }\n\
             scale_emb = { values = [2, 4, 8] }\nweight_decay = { low = 0, high = 0.2, step = 0.1 }\n"
        } else {
            SPACE
        };
        let startup = if sampler == "tpe" { "startup = 4" } else { "" };
        let search = search(&format!(
            "sampler = \"{sampler}\"\ntrials = {trials}\nparallel = {parallel}\nseed = {seed}\n{startup}\n{space}{}",
            if pruned { ASHA } else { "" }
        ));
        let alone = play(&search, 1, 0, false, &with_accidents);
        let fleet = play(&search, workers, luck, restarts, &with_accidents);
        prop_assert_eq!(&alone.progress.trials, &fleet.progress.trials);
        prop_assert_eq!(&alone.progress.standings, &fleet.progress.standings);
        prop_assert_eq!(&alone.stages, &fleet.stages);
        prop_assert_eq!(alone.steps, fleet.steps);
        prop_assert_eq!(alone.progress.trials.len(), trials as usize);
        prop_assert!(alone.progress.standings.iter().all(|standing| standing.end.is_some()), "nothing waits forever");
    }
}

#[test]
fn more_trials_go_on_with_the_same_search() {
    let text = |trials| format!("sampler = \"tpe\"\ntrials = {trials}\nstartup = 8\n{SPACE}{ASHA}");
    let (fewer, more) = (search(&text(20)), search(&text(40)));
    assert_eq!(fewer.campaign("a"), more.campaign("a"));
    assert_ne!(fewer.campaign("a"), fewer.campaign("b"));
    let [fewer, whole] = [&fewer, &more].map(|search| play(search, 3, 1, false, &bowl).progress);
    assert_grown(&fewer.trials, &whole.trials);
    assert_eq!(fewer.trials[..], whole.trials[..20]);
    assert_eq!(fewer.standings[..], whole.standings[..20]);
    let other = search(&text(20).replace("startup = 8", "startup = 8\nseed = 1"));
    assert_ne!(other.campaign("a"), more.campaign("a"));
}

#[test]
fn a_stage_that_is_tried_again_takes_nothing_away() {
    let search = search(&format!("sampler = \"tpe\"\ntrials = 30\nstartup = 4\n{SPACE}{ASHA}"));
    let played = play(&search, 3, 7, false, &with_accidents);
    let failing = played.progress;
    let failed = failing.standings.iter().filter(|standing| standing.end == Some(TrialEnd::Failed)).count();
    assert!(failed > 0, "no trial failed");
    // All that failed is tried again, at once, and has a result this time.
    let spec = |key: &vocabulary::StageKey| played.stages.get(key).map(|stage| stage.spec.clone());
    let retried = grow(&search, &failing.trials, |key| match with_accidents(&spec(key)?) {
        Outcome::Failed => Some(bowl(&spec(key)?)),
        other => Some(other),
    });
    assert_grown(&failing.trials, &retried.trials);
    assert!(retried.standings.iter().all(|standing| standing.end != Some(TrialEnd::Failed)));
}

#[test]
fn a_trial_is_pruned_or_promoted_by_those_before_it() {
    let progress =
        play(&search(&format!("sampler = \"random\"\ntrials = 40\n{SPACE}{ASHA}")), 4, 3, false, &bowl).progress;
    let mut at_first_rung: Vec<f64> = Vec::new();
    for standing in &progress.standings {
        let loss = standing.losses[0];
        at_first_rung.push(loss);
        let better = at_first_rung.iter().filter(|other| **other < loss).count();
        let is_among_the_best = better < (at_first_rung.len() / 3).max(1);
        assert_eq!(standing.end != Some(TrialEnd::Pruned { step: 10 }), is_among_the_best);
    }
    let ended = |end| progress.standings.iter().filter(|standing| standing.end == Some(end)).count();
    assert!(ended(TrialEnd::Completed) >= 3, "some go all the way");
    assert!(ended(TrialEnd::Pruned { step: 30 }) >= 3, "some go half the way");
}

#[test]
fn no_settings_are_tried_twice() {
    let few = "[search.space]\nscale_emb = { values = [2, 4, 8, 12, 20] }\nbeta1 = { values = [0.8, 0.9] }\n";
    for sampler in ["random", "tpe", "grid"] {
        let startup = if sampler == "tpe" { "startup = 2" } else { "" };
        let search = search(&format!("sampler = \"{sampler}\"\ntrials = 10\n{startup}\n{few}"));
        let trials = play(&search, 2, 5, false, &bowl).progress.trials;
        let mut settings: Vec<_> = trials.iter().map(|trial| format!("{:?}", trial.settings)).collect();
        settings.sort();
        settings.dedup();
        assert_eq!(settings.len(), 10, "{sampler}");
    }
}
