//! Trees of trunks and branches, as they are read off a campaign.

#[allow(dead_code, reason = "the tests of the report use the rest")]
mod synthetic;

use std::collections::BTreeMap;

use recipes::Recipe;
use report::forecast::{CurveOptions, DonorError, ForecastError, NoTree, PointError, SizeTree, donor};
use scaling::BootstrapOptions;
use vocabulary::{StageKey, StageRole};

fn options() -> CurveOptions {
    CurveOptions { bootstrap: BootstrapOptions { draws: 20, ..BootstrapOptions::default() }, ..CurveOptions::default() }
}

fn trees(campaign: &report::Campaign) -> Vec<SizeTree> {
    SizeTree::all(campaign, &BTreeMap::new()).into_iter().map(|tree| tree.expect("has a trunk")).collect()
}

#[test]
fn branches_are_forecast_whether_they_were_run_or_not() {
    let mut campaign = synthetic::quickstart();
    // The longest run of the smallest size has not been trained.
    let unrun = campaign.plan.trials[6].clone();
    campaign.results.remove(&unrun.id);
    campaign.curves.remove(unrun.last_stage());
    let mut trees = trees(&campaign);
    assert_eq!(
        trees.iter().map(|tree| tree.size.as_str()).collect::<Vec<_>>(),
        ["tiny-32", "tiny-48", "tiny-64", "tiny-96", "tiny-128"]
    );
    let smallest = &mut trees[0];
    smallest.add_point(8_000_000).expect("is longer");
    let found = smallest.forecast(None, &options()).expect("six decays");
    assert_eq!(smallest.d.len(), 8);
    assert_eq!((smallest.d[6], smallest.d[7]), (unrun.d.0, 8_000_000));
    assert_eq!(found.unseen.expect("six decays").branches, 6);
    let measured: Vec<bool> = found.branches.iter().map(|branch| branch.measured.is_some()).collect();
    assert_eq!(measured, [true, true, true, true, true, true, false, false]);
    for branch in &found.branches {
        let interval = branch.interval.expect("six errors");
        assert!(interval.low < branch.loss && branch.loss < interval.high, "{branch:?}");
    }
    assert!(found.branches[7].loss < found.branches[6].loss && found.branches[6].loss < found.branches[5].loss);
}

#[test]
fn a_point_without_room_is_refused() {
    let mut tree = trees(&synthetic::quickstart()).remove(0);
    // 51 steps of 1024 tokens: one of decay, and 50 before it, which are the warm-up.
    assert!(matches!(tree.add_point(51 * 1024), Err(PointError::TooShort { steps: 51, warmup: 50, .. })));
    assert!(matches!(tree.add_point(u64::MAX), Err(PointError::TooLong { .. })));
    tree.add_point(60 * 1024).expect("has room");
}

#[test]
fn without_decays_there_is_no_forecast_but_with_a_donors() {
    let mut campaign = synthetic::quickstart();
    let trunks = campaign.plan.stages.iter().filter(|stage| stage.role == StageRole::Trunk);
    let ends: BTreeMap<StageKey, f64> = trunks.map(|stage| (stage.key, 3.3)).collect();
    let term = donor(&SizeTree::all(&campaign, &ends), "tiny-48", &options()).expect("seven decays");
    assert_eq!(term.transfer.expect("four other sizes").1, 28);
    for stage in campaign.plan.stages.iter().filter(|stage| stage.role == StageRole::Decay) {
        campaign.curves.remove(&stage.key);
    }
    campaign.results.clear();
    assert_eq!(trees(&campaign)[0].forecast(None, &options()), Err(ForecastError::NothingDecayed));
    assert_eq!(trees(&campaign)[0].forecast(Some(&term), &options()), Err(ForecastError::NoHeldOutLoss));
    let tree = SizeTree::all(&campaign, &ends).remove(0).expect("has a trunk");
    let found = tree.forecast(Some(&term), &options()).expect("a donor");
    assert!(found.branches.iter().all(|branch| branch.interval.is_some() && branch.measured.is_none()));
}

#[test]
fn a_donor_that_has_nothing_is_refused() {
    let campaign = synthetic::quickstart();
    let all = SizeTree::all(&campaign, &BTreeMap::new());
    let refused = donor(&all, "tiny-33", &options()).expect_err("there is none");
    let expected = "unknown size `tiny-33`; accepted: tiny-32, tiny-48, tiny-64, tiny-96, tiny-128";
    assert_eq!(refused.to_string(), expected);
    let mut bare = campaign;
    bare.results.clear();
    let refused = donor(&SizeTree::all(&bare, &BTreeMap::new()), "tiny-32", &options());
    assert!(matches!(refused, Err(DonorError::NoLaw { source: ForecastError::NothingDecayed, .. })), "{refused:?}");
}

#[test]
fn runs_by_themselves_have_no_trunk() {
    let text = synthetic::quickstart().recipe_text;
    let (before, decay) = text.split_once("[schedule.decay]").expect("it has a decay");
    let after = &decay[decay.find("[batch]").expect("it has a batch")..];
    let cosine = format!("{before}{after}").replace("kind = \"wsd\"", "kind = \"cosine\"");
    let recipe = Recipe::parse("cosine.toml", &cosine).unwrap_or_else(|error| panic!("{error}"));
    for tree in SizeTree::all(&synthetic::campaign(&recipe, &[]), &BTreeMap::new()) {
        let NoTree { reason, .. } = tree.expect_err("has no trunk");
        assert_eq!(reason, "its runs share no trunk");
    }
}

/// Two sizes and two seeds, each with two decays by two arms.
fn two_stage(text: &str) -> report::Campaign {
    let recipe = Recipe::parse("two-stage.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let losses: Vec<f64> = (0..24).map(|index| 3.0 - 0.01 * f64::from(index)).collect();
    synthetic::campaign(&recipe, &losses)
}

#[test]
fn arms_whose_decays_are_on_other_text_have_trees_of_their_own() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/cpu/two-stage.toml");
    let text = std::fs::read_to_string(path).expect("is there");
    let found = trees(&two_stage(&text));
    let arms: Vec<Option<&str>> = found.iter().map(|tree| tree.arm.as_deref()).collect();
    let (decays, spread) = ([Some("A-1"), Some("A-2")].repeat(4), [Some("spread")].repeat(4));
    assert_eq!(arms, [decays, spread].concat());
    for tree in &found {
        assert_eq!((tree.d.len(), &tree.arms), (2, &vec![tree.arm.clone(); 2]));
    }
    // Arms that share the text, too, share the tree, and each branch has its own.
    let (before, weights) = text.split_once("[arms.data.decay_weights]").expect("A-2 has its own");
    let after = &weights[weights.find("code = 0.5\n").expect("its last line") + "code = 0.5\n".len()..];
    let same = format!("{before}[arms.schedule.decay]\nshape = \"linear\"\n{after}");
    let mut found = trees(&two_stage(&same));
    assert_eq!(found.len(), 8, "four of both arms, and four of `spread`");
    let arms: Vec<Option<&str>> = found[0].arms.iter().map(Option::as_deref).collect();
    assert_eq!((&found[0].arm, arms.len()), (&None, 4));
    assert!(arms.contains(&Some("A-1")) && arms.contains(&Some("A-2")));
    found[0].add_point(10_000_000).expect("is longer");
    assert_eq!(found[0].arms.len(), 5);
}

#[test]
fn the_only_decay_is_not_forecast_from_itself() {
    let mut campaign = synthetic::quickstart();
    let of = |decays: usize, campaign: &mut report::Campaign| {
        for trial in &campaign.plan.trials[decays..7] {
            campaign.results.remove(&trial.id);
            campaign.curves.remove(trial.last_stage());
        }
        let tree = trees(campaign).remove(0);
        let found = tree.forecast(None, &options()).expect("has decays");
        (0..7).map(|index| tree.saw(index, None, &found)).collect::<Vec<_>>()
    };
    assert_eq!(of(7, &mut campaign), [false; 7]);
    assert_eq!(of(2, &mut campaign), [false; 7]);
    assert_eq!(of(1, &mut campaign), [true, false, false, false, false, false, false]);
}
