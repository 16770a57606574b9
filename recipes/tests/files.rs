//! The recipes that come with Windtunnel: each is read, validated and expanded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use recipes::price::{Device, Speeds};
use recipes::{Recipe, expand, price, show, sketch};
use vocabulary::{Dataset, DatasetId, Domain, Plan, StageRole, Tokens};

fn load(name: &str) -> Recipe {
    Recipe::load(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_else(|error| panic!("{error}"))
}

/// Data with as many tokens as any of the recipes wants.
fn dataset(recipe: &Recipe) -> Dataset {
    Dataset {
        id: DatasetId::from_content(b"a text"),
        vocab: recipe.data().vocab.expect("these recipes train their tokenizer"),
        train_tokens: 3_350_000,
        validation_tokens: recipe.data().validation_tokens,
        train_bytes: 6_610_000,
        validation_bytes: 390_000,
        sources: vec!["a text".to_owned()],
        domains: recipe.data().domain_names().into_iter().map(|name| domain(recipe, name)).collect(),
    }
}

fn domain(recipe: &Recipe, name: &str) -> Domain {
    Domain {
        name: name.to_owned(),
        train_tokens: 1_000_000,
        validation_tokens: recipe.data().validation_tokens,
        train_bytes: 2_000_000,
        validation_bytes: 130_000,
    }
}

fn plan_of(name: &str) -> Plan {
    let recipe = load(name);
    expand(&recipe, &dataset(&recipe)).unwrap_or_else(|error| panic!("{error}"))
}

/// Every recipe beside the crate, by its path from there.
fn shipped() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for folder in ["", "cpu", "paper"] {
        for entry in fs::read_dir(root.join(folder)).expect("is there") {
            let path: PathBuf = entry.expect("is readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".toml") && name != "Cargo.toml" && !name.starts_with('.') {
                let below = path.strip_prefix(root).expect("is below it");
                names.insert(below.to_str().expect("is plain").to_owned());
            }
        }
    }
    names
}

/// What every plan has to be: a forest of consecutive stages, and paths in it.
fn check(plan: &Plan) {
    let mut seen = BTreeSet::new();
    for stage in &plan.stages {
        assert_eq!(stage.key, stage.spec.key(stage.parent.as_ref()));
        let start = stage.parent.map_or(0, |parent| {
            assert!(seen.contains(&parent), "parents come before children");
            plan.stage(&parent).expect("is there").spec.steps.end
        });
        assert_eq!(stage.spec.steps.start, start, "a stage continues where its parent ends");
        assert!(stage.spec.steps.end > start, "a stage has steps");
        assert!(seen.insert(stage.key), "a stage is there once");
    }
    let mut trials = BTreeSet::new();
    for trial in &plan.trials {
        assert!(trials.insert(trial.id), "a trial is there once");
        let path: Vec<_> = trial.path.iter().map(|key| plan.stage(key).expect("paths name stages")).collect();
        assert_eq!(path[0].parent, None);
        assert!(path.windows(2).all(|pair| pair[1].parent == Some(pair[0].key)), "a path goes from parent to child");
        let tokens: Tokens = path.iter().map(|stage| stage.spec.tokens()).sum();
        assert_eq!(trial.d == tokens, plan.is_whole(trial), "a trial of a search continues where it is judged");
        assert_eq!(trial.n, path[0].spec.model.shape.non_embedding_params());
    }
    let used: BTreeSet<_> = plan.trials.iter().flat_map(|trial| &trial.path).copied().collect();
    assert_eq!(used, seen, "every stage serves a trial");
}

/// What every price has to be: the sizes add up to the whole, and no schedule is shorter than its bounds.
fn check_price(plan: &Plan) {
    let device = Device::find("h100").expect("is known");
    let speeds = Speeds { device: Some((device, 0.4)), ..Speeds::default() };
    let price = price(plan, &speeds, Some(4));
    assert_eq!(price.sizes.iter().map(|size| size.stages).sum::<usize>(), plan.stages.len());
    assert_eq!(price.sizes.iter().map(|size| size.tokens).sum::<vocabulary::Tokens>(), plan.cost().tokens);
    let seconds = price.device_seconds.expect("a device is named");
    let wall = price.wall.expect("a device is named");
    let schedule = wall.schedule.expect("workers are given");
    let rounding = 1.0 + 1e-9;
    assert!(seconds > 0.0 && schedule.seconds * rounding >= wall.critical_path_seconds.max(seconds / 4.0));
    assert!(schedule.seconds <= (seconds / 4.0 + wall.critical_path_seconds) * rounding, "Graham's bound");
    assert!(price.checkpoints.peak_bytes.is_some_and(|peak| peak >= price.checkpoints.kept_bytes));
}

#[test]
fn every_recipe_of_the_folder_expands() {
    let names = shipped();
    for name in ["quickstart.toml", "smoke.toml", "paper/scaling-law.toml", "cpu/schedules.toml"] {
        assert!(names.contains(name), "{name} is among {names:?}");
    }
    for name in &names {
        let plan = plan_of(name);
        check(&plan);
        assert_eq!(plan, plan_of(name), "the same recipe over the same data is the same plan");
        let recipe = load(name);
        assert_eq!(Recipe::parse(recipe.file(), recipe.text()).expect("parses again"), recipe);
        let json = serde_json::to_string(&plan).expect("has a JSON form");
        assert_eq!(serde_json::from_str::<Plan>(&json).expect("parses"), plan);
        let sketch = sketch(&recipe).expect("needs no data");
        assert_eq!((sketch.cost(), sketch.dataset), (plan.cost(), None));
        check_price(&plan);
    }
}

#[test]
fn the_quick_start_is_five_sizes_by_seven_points_twice() {
    let plan = plan_of("quickstart.toml");
    let sizes: BTreeSet<u64> = plan.trials.iter().map(|trial| trial.n).collect();
    assert_eq!(sizes, BTreeSet::from([23_712, 53_232, 94_528, 212_448, 377_472]));
    let points = [732, 928, 1172, 1514, 1904, 2393, 2979];
    assert_eq!(plan.trials.len(), 70);
    for run in plan.trials.chunks(points.len()) {
        let steps: Vec<u64> = run.iter().map(|trial| trial.d.0 / 1024).collect();
        assert_eq!(steps, points);
        assert!(run.iter().all(|trial| trial.n == run[0].n), "points of one run stand together");
    }
    // Seven stretches of trunk and seven branches a run, and a run for each size and seed.
    assert_eq!(plan.stages.len(), 10 * 14);
    assert_eq!(plan.stages.iter().filter(|stage| stage.role == StageRole::Decay).count(), 70);
    assert_eq!(plan.stages.iter().filter(|stage| stage.parent.is_none()).count(), 10);
    // The trunk to the last decay, and a tenth of each point.
    let trunk = 2979 - 298;
    let decays = 73 + 93 + 117 + 151 + 190 + 239 + 298;
    assert_eq!(plan.cost().tokens.0, 10 * (trunk + decays) * 1024);
    assert_eq!(plan.cost().tokens_unshared.0, 10 * points.iter().sum::<u64>() * 1024);
}

#[test]
fn the_wind_tunnel_is_six_sizes_by_six_points() {
    let plan = plan_of("paper/scaling-law.toml");
    assert_eq!(plan.trials.len(), 36);
    let largest = plan.trials.iter().max_by_key(|trial| trial.d).expect("has trials");
    // 60N stable tokens and 6N of decay, to a step or two.
    let ratio = largest.d.0 as f64 / largest.n as f64;
    assert!((ratio - 66.0).abs() < 0.01, "{ratio}");
    let nominal: Vec<f64> =
        plan.trials.iter().take(6).map(|trial| (trial.nominal.0 as f64 / trial.n as f64).round()).collect();
    assert_eq!(nominal, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
}

#[test]
fn the_smoke_plan_as_people_read_it() {
    let plan = plan_of("smoke.toml");
    insta::assert_snapshot!("tree", show::tree(&plan));
    insta::assert_snapshot!("table", show::table(&plan));
}
