//! Searches as people read about them.

use recipes::search::Progress;
use recipes::{Additions, GrowthError, Recipe, show};

use super::play::{ASHA, SPACE, bowl, plan, play, text};

/// The message for a refused search.
fn refused(search: &str) -> String {
    Recipe::parse("a-search.toml", &text(search)).expect_err(search).to_string()
}

#[test]
fn what_is_planned() {
    let plan = plan(&format!("sampler = \"tpe\"\ntrials = 48\nparallel = 2\n{SPACE}{ASHA}"));
    insta::assert_snapshot!("tree", show::tree(&plan));
    insta::assert_snapshot!("table", show::table(&plan));
}

#[test]
fn what_is_refused() {
    let tpe = "sampler = \"tpe\"\ntrials = 9\n";
    let grid = "sampler = \"grid\"\n";
    let random = "sampler = \"random\"\n";
    let lr = "[search.space]\npeak_lr = { low = 0.001, high = 0.1 }\n";
    let space = |range: &str| format!("{tpe}[search.space]\n{range}\n");
    let pruner = |keys: &str| format!("{tpe}{lr}[search.pruner]\nkind = \"asha\"\n{keys}\n");
    let messages: Vec<String> = [
        format!("sampler = \"bayes\"\n{lr}"),
        format!("{random}{lr}"),
        format!("{grid}{lr}"),
        format!("{grid}trials = 7\n[search.space]\nbeta1 = {{ values = [0.8, 0.85, 0.9] }}\n"),
        format!("{grid}startup = 3\n[search.space]\nbeta1 = {{ values = [0.8, 0.9] }}\n"),
        space(""),
        space("learning_rate = { low = 1, high = 2 }"),
        space("peak_lr = { low = 1 }"),
        space("peak_lr = { low = 0.01, high = 1, values = [0.1] }"),
        space("peak_lr = { low = 0.01, high = 0.01 }"),
        space("weight_decay = { low = 0, high = 1, scale = \"log\" }"),
        space("peak_lr = { low = 0.01, high = 0.1, scale = \"log\", step = 0.01 }"),
        space("peak_lr = { low = 0.01, high = 1, step = 0.00001 }"),
        space("scale_depth = { low = 0, high = 5 }"),
        space("beta1 = { values = [0.9, 1.0] }"),
        space("beta1 = { values = [0.9, 0.8] }"),
        space("d_base = { low = 32, high = 256 }"),
        pruner(""),
        pruner("rungs = [0.1]\nmin_fraction = 0.1"),
        pruner("rungs = [0.3, 0.1]"),
        pruner("rungs = [0.01]"),
        pruner("rungs = [0.1, 0.95]"),
        pruner("min_fraction = 0.95"),
        pruner("rungs = [0.5]\nreduction = 1"),
    ]
    .iter()
    .map(|search| refused(search))
    .collect();
    insta::assert_snapshot!("refused", messages.join("\n"));

    let with = |from: &str, to: &str| {
        let text = text(&format!("{tpe}{lr}")).replace(from, to);
        Recipe::parse("a-search.toml", &text).expect_err(to).to_string()
    };
    let of_the_recipe = [
        with("[\"tiny-32\"]", "[\"tiny-32\", \"tiny-48\"]"),
        with("[100_000]", "[100_000, 200_000]"),
        with("[search]", "[[arms]]\nname = \"a\"\n[search]"),
    ];
    insta::assert_snapshot!("refused_beside", of_the_recipe.join("\n"));
}

#[test]
fn rungs_follow_from_the_first() {
    let search = plan(
        "sampler = \"random\"\ntrials = 9\n[search.space]\npeak_lr = { low = 0.001, high = 0.1 }\n\
         [search.pruner]\nkind = \"asha\"\nreduction = 2\nmin_fraction = 0.1\n",
    )
    .search
    .expect("is a search");
    assert_eq!(search.pruner.expect("has a pruner").rungs, [10, 20, 40, 80]);
}

#[test]
fn a_range_whose_steps_pass_over_its_end_is_noted() {
    let notes = |range: &str| {
        let recipe = text(&format!("sampler = \"grid\"\n[search.space]\n{range}\n"));
        Recipe::parse("a.toml", &recipe).unwrap_or_else(|error| panic!("{error}")).notes().join("; ")
    };
    // Steps that divide the range, in binary only nearly.
    for whole in [
        "weight_decay = { low = 0, high = 1, step = 0.1 }",
        "init_std = { low = 0.1, high = 0.7, step = 0.2 }",
        "scale_emb = { low = 2, high = 12, levels = 3 }",
        "scale_depth = { low = 1, high = 4, step = 3 }",
    ] {
        assert_eq!(notes(whole), "", "{whole}");
    }
    let odd = notes("scale_depth = { low = 1, high = 5, step = 0.3 }");
    assert!(odd.contains("`search.space.scale_depth` never reaches its `high` of 5") && odd.contains("4.9"), "{odd}");
    let big = notes("scale_depth = { low = 1, high = 2, step = 3 }");
    assert!(big.contains("never more than 1") && big.contains("`high` of 2"), "{big}");
    let close = notes("scale_depth = { low = 0.5, high = 4.5001, step = 1 }");
    assert!(close.contains("the last value is 4.5"), "{close}");
}

#[test]
fn the_best_is_lines_of_a_recipe_that_trains_it() {
    let search = plan(&format!("sampler = \"random\"\ntrials = 12\n{SPACE}"));
    let progress: Progress = play(search.search.as_ref().expect("is a search"), 2, 0, false, &bowl).progress;
    let (best, _) = progress.best().expect("has a best trial");
    let lines: toml::Table = toml::from_str(&recipes::search::recipe_lines(&best.settings)).expect("TOML");
    let mut recipe: toml::Table =
        toml::from_str(&text(&format!("sampler = \"random\"\ntrials = 1\n{SPACE}"))).expect("TOML");
    recipe.remove("search");
    for (table, keys) in lines {
        let into = recipe[&table].as_table_mut().expect("is a table");
        into.extend(keys.as_table().expect("is a table").clone());
    }
    let recipe = Recipe::parse("best.toml", &recipe.to_string()).unwrap_or_else(|error| panic!("{error}"));
    let dataset = search.dataset.expect("is prepared");
    let plan = recipes::expand(&recipe, &dataset).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.trials[0].path, best.path);
}

#[test]
fn the_guides_recipe_is_one() {
    let guide = include_str!("../../../docs/guide/search.md");
    let text = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("has a recipe");
    let recipe = Recipe::parse("search.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let plan = recipes::sketch(&recipe).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((plan.trials.len(), plan.trials_in_the_end()), (4, 48));
}

#[test]
fn a_search_is_extended_by_its_trials_and_by_nothing_else() {
    let search = format!("sampler = \"tpe\"\ntrials = 9\n{SPACE}{ASHA}");
    let recipe = |search: &str| Recipe::parse("a.toml", &text(search)).unwrap_or_else(|error| panic!("{error}"));
    let plan = plan(&search);
    let grown = |recipe: &Recipe| recipes::growth(&plan, recipe);

    let more = |trials| Additions { trials: Some(trials), ..Additions::default() };
    let larger = recipe(&search).with(&more(20)).expect("it is a recipe");
    assert_eq!(larger.text(), recipe(&search.replace("= 9", "= 20")).text());
    let growth = grown(&larger).expect("it is the same search");
    assert_eq!((growth.search_trials, growth.stages.len()), (Some(20), 0));
    assert_eq!(plan.grown(&growth).trials_in_the_end(), 20);
    assert!(growth.beyond(&plan.grown(&grown(&larger).expect("it is the same search"))).is_empty(), "asked for twice");

    let fewer = recipe(&search).with(&more(5)).expect("it is a recipe");
    assert!(grown(&fewer).expect("it is the same search").is_empty());
    for other in [search.replace("tpe", "random"), search.replace("high = 5", "high = 6")] {
        assert!(matches!(grown(&recipe(&other)), Err(GrowthError::OtherSearch)));
    }
    let none = Recipe::parse("a.toml", text("").trim_end().trim_end_matches("[search]")).expect("is a recipe");
    assert!(matches!(grown(&none), Err(GrowthError::OtherSearch)));
    assert!(none.with(&more(20)).is_err());
}
