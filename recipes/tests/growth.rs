//! Campaigns that grow to a larger recipe: what is new, and what it shares with what is there.

use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use recipes::{Additions, GrowthError, Recipe, expand, growth};
use vocabulary::{Dataset, DatasetId, Plan, Stage, StageKey, Trial, TrialId};

fn recipe(points: &str) -> Recipe {
    let text = format!(
        "# What it is for.\nname = \"grows\" # as `out` has it\n[data]\nsources = [\"x.txt\"]\nvocab = 300\n\
         validation_tokens = 1000\n[model]\nsizes = [\n  \"tiny-32\", # the smallest\n]\n[points]\n{points} # so much\n\
         [schedule]\nkind = \"wsd\"\nwarmup_steps = 2\nfloor = 0.1\n[schedule.decay]\nshape = \"linear\"\n\
         fraction = 0.1\ncounted = \"after\"\n[batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01]\n"
    );
    Recipe::parse("grows.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn tokens(points: &[u64]) -> Recipe {
    recipe(&format!("tokens = {points:?}"))
}

fn plan(recipe: &Recipe) -> Plan {
    let dataset = Dataset {
        id: DatasetId::from_content(b"a text"),
        vocab: 300,
        train_tokens: 50_000,
        validation_tokens: 1_000,
        train_bytes: 100_000,
        validation_bytes: 2_000,
        sources: vec!["x.txt".to_owned()],
        domains: Vec::new(),
    };
    expand(recipe, &dataset).unwrap_or_else(|error| panic!("{error}"))
}

fn steps(stages: &[vocabulary::Stage]) -> Vec<(u64, u64)> {
    stages.iter().map(|stage| (stage.spec.steps.start, stage.spec.steps.end)).collect()
}

fn keys(plan: &Plan) -> BTreeSet<StageKey> {
    plan.stages.iter().map(|stage| stage.key).collect()
}

fn ids(plan: &Plan) -> Vec<TrialId> {
    plan.trials.iter().map(|trial| trial.id).collect()
}

#[test]
fn more_points_sizes_seeds_and_learning_rates_make_the_plan_that_has_them_from_the_start() {
    let small = tokens(&[20_000, 40_000]);
    let additions = [
        Additions { tokens: vec![80_000, 120_000], ..Additions::default() },
        Additions { sizes: vec!["TINY-48".to_owned()], ..Additions::default() },
        Additions { seeds: vec![7, 3], ..Additions::default() },
        Additions { peak_lr: vec![0.02], ..Additions::default() },
        Additions {
            tokens: vec![80_000],
            seeds: vec![1],
            sizes: vec!["tiny-64".to_owned()],
            peak_lr: vec![0.005],
            ..Additions::default()
        },
    ];
    for more in additions {
        let large = small.with(&more).expect("it is a recipe");
        let (plan, whole) = (plan(&small), plan(&large));
        let growth = growth(&plan, &large).expect("it grows");
        assert_eq!(growth.trials.len(), whole.trials.len() - plan.trials.len());
        assert!(growth.stages.iter().all(|stage| plan.stage(&stage.key).is_none()), "only what is new");
        let grown = plan.grown(&growth);
        assert_eq!(ids(&grown), ids(&whole), "in the order of the whole");
        assert_eq!(keys(&grown), keys(&whole));
        assert_eq!(grown.campaign, plan.campaign, "it stays the same campaign");
    }
}

#[test]
fn a_point_in_between_retrains_a_stretch_and_leaves_the_old_stages() {
    let small = tokens(&[10_000, 20_000, 40_000]);
    let large = small.with(&Additions { tokens: vec![30_000], ..Additions::default() }).expect("it is a recipe");
    let (plan, whole) = (plan(&small), plan(&large));
    let first = growth(&plan, &large).expect("it grows");
    assert_eq!(steps(&first.stages), [(20, 30), (30, 33)], "from the nearest cut before it");
    assert_eq!(first.trials[0].path[..2], plan.trials[2].path[..2], "along the trunk that is there");
    assert_eq!(first.trials[0].path, whole.trials[3].path, "as if it had been planned so");
    let grown = plan.grown(&first);
    assert_eq!(ids(&grown)[..3], ids(&plan)[..], "the old ones are what they were");

    // Again, between what is there now, and beyond: the campaign it has become is what counts.
    let more = Additions { tokens: vec![25_000, 35_000, 60_000], ..Additions::default() };
    let larger = large.with(&more).expect("it is a recipe");
    let second = growth(&grown, &larger).expect("it grows");
    assert_eq!(steps(&second.stages), [(20, 25), (25, 28), (30, 35), (35, 39), (40, 60), (60, 66)]);
    assert!(growth(&grown.grown(&second), &larger).expect("it is all there").is_empty());
}

#[test]
fn a_point_before_the_first_has_a_root_of_its_own() {
    let small = tokens(&[20_000]);
    let large = small.with(&Additions { tokens: vec![10_000], ..Additions::default() }).expect("it is a recipe");
    let growth = growth(&plan(&small), &large).expect("it grows");
    assert_eq!(steps(&growth.stages), [(0, 10), (10, 11)]);
}

#[test]
fn a_recipe_that_asks_for_nothing_new_adds_nothing() {
    let recipe = tokens(&[20_000, 40_000]);
    let again = Additions { tokens: vec![40_000], seeds: vec![0], peak_lr: vec![0.01], ..Additions::default() };
    let same = recipe.with(&again).expect("it is a recipe");
    assert_eq!(same.text(), recipe.text());
    assert!(growth(&plan(&recipe), &same).expect("it is its own").is_empty());
    let fewer = tokens(&[40_000]);
    assert!(growth(&plan(&recipe), &fewer).expect("it is a part of it").is_empty());
}

#[test]
fn a_recipe_of_another_campaign_is_refused() {
    let recipe = tokens(&[20_000]);
    let other = Recipe::parse("other.toml", &recipe.text().replace("\"grows\"", "\"other\"")).expect("it is a recipe");
    let refused = growth(&plan(&recipe), &other).expect_err("it has another name");
    assert!(matches!(refused, GrowthError::OtherName { .. }), "{refused}");
    let refused = growth(&Plan { dataset: None, ..plan(&recipe) }, &recipe).expect_err("it is a sketch");
    assert!(matches!(refused, GrowthError::NoDataset { .. }), "{refused}");
}

#[test]
fn a_text_that_is_added_to_keeps_its_comments() {
    let more = Additions {
        times_n: vec![20.0, 80.0, 1.5],
        sizes: vec!["0.2b".to_owned()],
        seeds: vec![1],
        peak_lr: vec![1e-3],
        ..Additions::default()
    };
    let recipe = recipe("times_n = [10, 20]");
    let text = recipe.with(&more).expect("it is a recipe").text().to_owned();
    let added = text.lines().filter(|line| !recipe.text().lines().any(|old| old == *line)).collect::<Vec<_>>();
    assert_eq!(
        added,
        [
            "seeds = [0, 1]",
            "  \"tiny-32\", \"0.2B\", # the smallest",
            "times_n = [10, 20, 80, 1.5] # so much",
            "peak_lr = [0.01, 0.001]"
        ]
        .as_slice(),
        "{text}"
    );
    for comment in ["# What it is for.", "# as `out` has it", "# the smallest", "# so much"] {
        assert!(text.contains(comment), "{text}");
    }
}

#[test]
fn an_addition_that_makes_no_recipe_is_refused_with_its_key() {
    let recipe = tokens(&[20_000]);
    let refuse = |more: &Additions| recipe.with(more).expect_err("it is refused").to_string();
    let both = refuse(&Additions { times_n: vec![10.0], ..Additions::default() });
    assert!(both.contains("key `points"), "{both}");
    let unknown = refuse(&Additions { sizes: vec!["3B".to_owned()], ..Additions::default() });
    assert!(unknown.contains("key `model.sizes[1]`"), "{unknown}");
    let huge = refuse(&Additions { seeds: vec![u64::MAX], ..Additions::default() });
    assert!(huge.contains("key `seeds[1]`"), "{huge}");
    let never = refuse(&Additions { peak_lr: vec![f64::NAN], ..Additions::default() });
    assert!(never.contains("key `optimizer.peak_lr[1]`"), "{never}");
}

/// What a trial is, apart from how its path is cut.
fn asked(plan: &Plan) -> BTreeSet<(String, u64, u64, u64)> {
    let lr = |trial: &Trial| plan.stage(&trial.path[0]).expect("it is there").spec.peak_lr.to_bits();
    plan.trials.iter().map(|trial| (trial.size.clone(), trial.seed, lr(trial), trial.d.0)).collect()
}

/// Whether every trial is a path of consecutive stages under their own keys.
fn check_paths(plan: &Plan) {
    for trial in &plan.trials {
        let mut parent: Option<&Stage> = None;
        for key in &trial.path {
            let stage = plan.stage(key).expect("it is there");
            assert_eq!(stage.parent, parent.map(|parent| parent.key));
            assert_eq!(stage.spec.steps.start, parent.map_or(0, |parent| parent.spec.steps.end));
            assert_eq!(stage.spec.key(stage.parent.as_ref()), stage.key);
            parent = Some(stage);
        }
    }
}

proptest! {
    #[test]
    fn however_a_campaign_grows_it_has_what_was_asked_for_and_keeps_what_it_had(
        first in btree_set(5_u64..60, 1..4),
        rounds in vec((btree_set(5_u64..90, 0..4), btree_set(0_u64..3, 0..2)), 1..4),
    ) {
        let points: Vec<u64> = first.iter().map(|steps| steps * 1_000).collect();
        let mut recipe = tokens(&points);
        let mut plan = plan(&recipe);
        for (points, seeds) in rounds {
            let tokens = points.iter().map(|steps| steps * 1_000).collect();
            let more = Additions { tokens, seeds: seeds.into_iter().collect(), ..Additions::default() };
            // Points that come to the same steps are refused.
            let Ok(larger) = recipe.with(&more) else { continue };
            let grown = plan.grown(&growth(&plan, &larger).expect("it grows"));
            check_paths(&grown);
            prop_assert_eq!(asked(&grown), asked(&self::plan(&larger)));
            prop_assert!(plan.trials.iter().all(|trial| grown.trials.contains(trial)));
            prop_assert!(plan.stages.iter().all(|stage| grown.stages.contains(stage)));
            prop_assert_eq!(grown.trials.len(), grown.trials.iter().map(|trial| trial.id).collect::<BTreeSet<_>>().len());
            prop_assert!(growth(&grown, &larger).expect("it is all there").is_empty());
            (recipe, plan) = (larger, grown);
        }
    }
}

/// Two sizes and two seeds.
fn grid() -> Recipe {
    tokens(&[20_000, 40_000])
        .with(&Additions { sizes: vec!["tiny-48".to_owned()], seeds: vec![1], ..Additions::default() })
        .unwrap_or_else(|error| panic!("{error}"))
}

fn orders(plan: &Plan) -> BTreeSet<(String, u64, u64)> {
    plan.stages.iter().map(|stage| (stage.size.clone(), stage.seed, stage.spec.data.order_seed)).collect()
}

#[test]
fn every_size_of_a_seed_sees_its_data_in_an_order_of_its_own() {
    let orders = orders(&plan(&grid()));
    assert_eq!(orders.len(), 4, "a trunk and its decays have one order: {orders:?}");
    assert_eq!(orders.iter().map(|(.., order)| order).collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn a_campaign_recorded_with_one_order_a_seed_keeps_it_when_it_grows() {
    let dataset = plan(&grid()).dataset.expect("it has data");
    let recorded = recipes::expand_as_before(&grid(), &dataset).expect("expands");
    assert!(orders(&recorded).iter().all(|(_, seed, order)| seed == order));
    assert_ne!(recorded.campaign, plan(&grid()).campaign);
    let more =
        Additions { tokens: vec![80_000], sizes: vec!["tiny-64".to_owned()], seeds: vec![5], ..Additions::default() };
    let larger = grid().with(&more).unwrap_or_else(|error| panic!("{error}"));
    let grown = growth(&recorded, &larger).expect("grows");
    assert!(!grown.stages.is_empty());
    assert!(grown.stages.iter().all(|stage| stage.spec.data.order_seed == stage.seed));
    // The trunks continue: nothing that is there is trained again.
    let whole = recipes::expand_as_before(&larger, &dataset).expect("expands");
    assert_eq!(grown.trials.len() + recorded.trials.len(), whole.trials.len());
    // A campaign of today does not fall back.
    let today = growth(&plan(&grid()), &larger).expect("grows");
    assert!(today.stages.iter().all(|stage| stage.spec.data.order_seed != stage.seed));
}
