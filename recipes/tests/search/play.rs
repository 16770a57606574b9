//! A search played out: workers that take their time, a store that remembers, and losses that are formulas.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use recipes::search::{Outcome, Progress, grow};
use recipes::{Recipe, expand};
use vocabulary::search::Search;
use vocabulary::{Dataset, Plan, Stage, StageKey, StageSpec, Trial, sample};

/// One size, a hundred steps, the last ten of them the decay; the rest is the test's.
pub(crate) fn text(search: &str) -> String {
    format!(
        "name = \"a-search\"\n[data]\nsources = [\"x.txt\"]\nvocab = 512\nvalidation_tokens = 1000\n\
         [model]\nsizes = [\"tiny-32\"]\n[points]\ntokens = [100_000]\n\
         [schedule]\nkind = \"wsd\"\nwarmup_steps = 2\nfloor = 0.1\n\
         [schedule.decay]\nshape = \"linear\"\nfraction = 0.1\ncounted = \"inside\"\n\
         [batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01]\n[search]\n{search}\n"
    )
}

pub(crate) fn plan(search: &str) -> Plan {
    let recipe = Recipe::parse("a-search.toml", &text(search)).unwrap_or_else(|error| panic!("{error}"));
    expand(&recipe, &Dataset { train_tokens: 1_000_000, ..sample::dataset() }).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn search(text: &str) -> Search {
    *plan(text).search.expect("is a search")
}

/// What stages come to, from what they train.
pub(crate) type Losses<'a> = &'a dyn Fn(&StageSpec) -> Outcome;

/// The result of a search, and how it got there.
pub(crate) struct Played {
    pub(crate) progress: Progress,
    /// All that was trained.
    pub(crate) stages: BTreeMap<StageKey, Stage>,
    /// Steps trained.
    pub(crate) steps: u64,
    /// Steps' worth of time from the first to the last.
    pub(crate) time: u64,
}

/// Plays a search to its end with so many workers, whose speeds differ by chance. With `restarts`, the trials known before
/// are forgotten now and then, and worked out again from the results alone.
pub(crate) fn play(search: &Search, workers: usize, luck: u64, restarts: bool, losses: Losses<'_>) -> Played {
    let mut rng = ChaCha8Rng::seed_from_u64(luck);
    let mut results: BTreeMap<StageKey, Outcome> = BTreeMap::new();
    let mut running: Vec<(u64, StageKey, StageSpec)> = Vec::new();
    let mut known: Vec<Trial> = Vec::new();
    let mut stages: BTreeMap<StageKey, Stage> = BTreeMap::new();
    let (mut steps, mut time) = (0, 0);
    loop {
        let progress = grow(search, &known, |stage| results.get(stage).copied());
        assert_grown(&known, &progress.trials);
        known = if restarts && rng.random_bool(0.3) { Vec::new() } else { progress.trials.clone() };
        stages.extend(progress.stages.iter().map(|stage| (stage.key, stage.clone())));
        // The earliest trials first, as a worker that looks for work would.
        for key in progress.trials.iter().flat_map(|trial| &trial.path) {
            let stage = &stages[key];
            let is_new = !results.contains_key(&stage.key) && running.iter().all(|(_, key, _)| *key != stage.key);
            if is_new && running.len() < workers {
                let length = stage.spec.steps.end - stage.spec.steps.start;
                steps += length;
                let speed = if luck == 0 { 1.0 } else { rng.random_range(1.0..3.0) };
                running.push((time + (length as f64 * speed) as u64, stage.key, stage.spec.clone()));
            }
        }
        let Some(first) = (0..running.len()).min_by_key(|index| running[*index].0) else {
            return Played { progress, stages, steps, time };
        };
        let (end, key, spec) = running.swap_remove(first);
        time = end;
        results.insert(key, losses(&spec));
    }
}

/// Every trial that there was is still there, and has at least the stages it had.
pub(crate) fn assert_grown(before: &[Trial], after: &[Trial]) {
    assert!(after.len() >= before.len(), "trials went away");
    for (before, after) in before.iter().zip(after) {
        assert_eq!((before.id, &before.settings), (after.id, &after.settings));
        assert_eq!(after.path[..before.path.len()], before.path[..], "stages went away");
    }
}

/// A bowl around the paper's values, higher the fewer steps were done.
pub(crate) fn bowl(spec: &StageSpec) -> Outcome {
    let scalings = &spec.model.tensor_program;
    let lr = (spec.peak_lr / 0.01).log10();
    let depth = (scalings.scale_depth - 1.4) / 4.0;
    let emb = (scalings.scale_emb / 12.0).ln() / 3.0;
    // Larger initial weights want a smaller learning rate.
    let init = (scalings.init_std / 0.1).log10() + 0.5 * lr;
    let loss = 3.0 + lr * lr + depth * depth + emb * emb + init * init + 20.0 / spec.steps.end as f64;
    Outcome::Completed { loss: Some(loss) }
}

/// The keys that the paper searched, over ranges as those of its followers.
pub(crate) const SPACE: &str = "[search.space]\npeak_lr = { low = 1e-3, high = 1e-1, scale = \"log\" }\n\
     scale_depth = { low = 1, high = 5, step = 0.1 }\nscale_emb = { values = [2, 4, 8, 12, 20] }\n\
     init_std = { low = 0.01, high = 1, scale = \"log\" }\n";

/// Two rungs.
pub(crate) const ASHA: &str = "[search.pruner]\nkind = \"asha\"\nreduction = 3\nrungs = [0.1, 0.3]\n";
