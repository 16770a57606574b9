//! The time left of a simulated campaign, against what it then takes.

use std::collections::BTreeMap;
use std::path::Path;

use recipes::price::{Left, Measured, Measurement, Standing, left};
use recipes::{Recipe, sketch};
use vocabulary::{Plan, Stage, StageKey};

fn plan_of(name: &str) -> Plan {
    let recipe =
        Recipe::load(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_else(|error| panic!("{error}"));
    sketch(&recipe).unwrap_or_else(|error| panic!("{error}"))
}

/// How long a stage really takes. Small models reach fewer operations a second: a quarter for each tenth of the size. Each
/// stage takes a second to start.
fn truth(stage: &Stage) -> f64 {
    let n = stage.spec.model.shape.non_embedding_params() as f64;
    let flops_per_second = 1e12 * (n / 1e8).powf(0.6);
    1.0 + stage.spec.flops().0 / flops_per_second
}

/// When each stage starts and ends, the longest path first as the coordinator assigns them.
fn played(plan: &Plan, workers: usize) -> Vec<(f64, f64)> {
    let places: BTreeMap<StageKey, usize> = plan.stages.iter().enumerate().map(|(place, it)| (it.key, place)).collect();
    let parent = |place: usize| plan.stages[place].parent.map(|key| places[&key]);
    let mut below: Vec<f64> = plan.stages.iter().map(|stage| stage.spec.flops().0).collect();
    for place in (0..below.len()).rev() {
        if let Some(parent) = parent(place) {
            below[parent] = below[parent].max(plan.stages[parent].spec.flops().0 + below[place]);
        }
    }
    let mut times: Vec<Option<(f64, f64)>> = vec![None; below.len()];
    let mut free = vec![0.0_f64; workers];
    while times.iter().any(Option::is_none) {
        let can_start = |place: usize| parent(place).map_or(Some(0.0), |parent| times[parent].map(|(_, end)| end));
        free.sort_by(f64::total_cmp);
        let open = (0..below.len()).filter(|&place| times[place].is_none());
        let startable: Vec<(usize, f64)> = open.filter_map(|place| Some((place, can_start(place)?))).collect();
        let first = startable.iter().map(|(_, at)| at.max(free[0])).fold(f64::INFINITY, f64::min);
        let ready = startable.iter().filter(|(_, at)| at.max(free[0]) <= first);
        let (place, _) = *ready.max_by(|one, other| below[one.0].total_cmp(&below[other.0])).expect("one can start");
        free[0] = first + truth(&plan.stages[place]);
        times[place] = Some((first, free[0]));
    }
    times.into_iter().flatten().collect()
}

/// What a coordinator would say at a moment: whole stages are measured, and those that are trained say how fast.
fn said(plan: &Plan, times: &[(f64, f64)], now: f64, workers: usize) -> Option<Left> {
    let mut own: Vec<Measurement> = Vec::new();
    let mut standing = BTreeMap::new();
    for (stage, &(start, end)) in plan.stages.iter().zip(times) {
        let spec = &stage.spec;
        let done = ((now - start) / (end - start)).clamp(0.0, 1.0);
        if end <= now {
            Measurement::add_to(&mut own, spec, end - start);
            standing.insert(stage.key, Standing::Over);
        } else {
            let steps = (spec.steps.end - spec.steps.start) as f64;
            standing.insert(stage.key, Standing::At { step: spec.steps.start + (done * steps) as u64 });
        }
    }
    let trained = plan.stages.iter().zip(times).filter(|(_, (start, end))| *start < now && now < *end);
    for (stage, (start, end)) in trained {
        if !own.iter().any(|measured| measured.is_of(&stage.spec)) {
            let mut measured = Measurement::nothing_of(&stage.spec);
            measured.add(&stage.spec, end - start);
            own.push(measured);
        }
    }
    let speeds = Measured { own, others: Vec::new() }.speeds();
    left(plan, |key| standing[key], &speeds, workers)
}

#[test]
fn after_a_tenth_the_time_left_is_within_a_third_although_large_models_run_first() {
    let plan = plan_of("paper/scaling-law.toml");
    for workers in [1, 2, 5] {
        let times = played(&plan, workers);
        let n = |place: usize| plan.stages[place].spec.model.shape.non_embedding_params();
        let first = (0..times.len()).filter(|&place| times[place].0 == 0.0).map(n).min();
        let larger = plan
            .stages
            .iter()
            .map(|stage| stage.spec.model.shape.non_embedding_params())
            .filter(|&it| Some(it) > first);
        assert!(larger.count() < plan.stages.len() / 2 + plan.stages.len() / 3, "large models run first");
        let whole = times.iter().map(|(_, end)| *end).fold(0.0, f64::max);
        for tenth in 1..10 {
            let now = whole * f64::from(tenth) / 10.0;
            let Left { seconds, at_least } = said(&plan, &times, now, workers).expect("something is measured");
            let truth = whole - now;
            assert!(!at_least);
            assert!((seconds / truth - 1.0).abs() < 1.0 / 3.0, "{workers} workers, {tenth}/10: {seconds} for {truth}");
        }
    }
}

#[test]
fn nothing_is_said_without_workers_or_before_anything_is_measured() {
    let plan = plan_of("paper/scaling-law.toml");
    let times = played(&plan, 1);
    assert_eq!(said(&plan, &times, times[0].1, 0), None);
    assert_eq!(said(&plan, &times, 0.0, 1), None);
    let end = times.iter().map(|(_, end)| *end).fold(0.0, f64::max);
    assert_eq!(said(&plan, &times, end, 1), Some(Left { seconds: 0.0, at_least: false }));
}

#[test]
fn no_number_of_workers_is_faster_than_the_longest_path() {
    let plan = plan_of("paper/scaling-law.toml");
    let times = played(&plan, 1);
    let now = times[0].1;
    let [one, many, more] = [1, 100, 1000].map(|workers| said(&plan, &times, now, workers).expect("measured").seconds);
    assert!(many < one && many == more && many > 0.0);
}

#[test]
fn what_others_measured_counts_in_proportion_to_the_campaigns_own() {
    let plan = plan_of("smoke.toml");
    let [small, large] = ["smoke-16", "smoke-32"]
        .map(|size| plan.stages.iter().find(|stage| stage.size == size).expect("is there").clone());
    let measured = |stage: &Stage, seconds| {
        let mut measured = Measurement::nothing_of(&stage.spec);
        measured.add(&stage.spec, seconds);
        measured
    };
    let others = vec![measured(&small, 10.0), measured(&large, 30.0)];
    // Twice as fast as the others' device.
    let with = Measured { own: vec![measured(&small, 5.0)], others: others.clone() }.speeds();
    let seconds = |stage: &Stage| with.of(stage).expect("is measured").seconds(&stage.spec);
    assert!((seconds(&small) - 5.0).abs() < 1e-9 && (seconds(&large) - 15.0).abs() < 1e-9);
    // Nothing to compare with: another device says nothing of this one.
    assert!(Measured { own: Vec::new(), others }.speeds().measured.is_empty());
}

#[test]
fn trials_that_a_search_has_not_suggested_make_it_a_lower_bound() {
    let mut plan = plan_of("smoke.toml");
    let stage = plan.stages[0].clone();
    let mut measured = Measurement::nothing_of(&stage.spec);
    measured.add(&stage.spec, 1.0);
    let speeds = Measured { own: vec![measured], others: Vec::new() }.speeds();
    let begun = |key: &StageKey| if *key == stage.key { Standing::Over } else { Standing::At { step: 0 } };
    assert!(!left(&plan, begun, &speeds, 1).expect("is measured").at_least);
    let search = plan_of("cpu/search.toml").search;
    assert!(search.is_some());
    plan.search = search;
    plan.trials.truncate(1);
    assert!(left(&plan, begun, &speeds, 1).expect("is measured").at_least);
}
