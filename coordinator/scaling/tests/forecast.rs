//! Forecasts of branches, on trees made from a known law with noise.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaling::BootstrapOptions;
use scaling::multipower::forecast::{Branch, Donor, ForecastError, Tree, forecast};
use scaling::multipower::{CurveOptions, DecayTerm, LossCurve, MultiPowerLaw, Schedule};

const LAW: MultiPowerLaw =
    MultiPowerLaw { l0: 2.2, a: 1.1, alpha: 0.45, decay: DecayTerm { b: 25.0, c: 0.9, beta: 0.7, gamma: 0.5 } };
/// Held-out loss minus training loss, in nats.
const HARDER: f64 = 0.04;
const WARMUP: usize = 20;

fn schedule(stable: usize, decay: usize) -> Schedule {
    let rates = (0..stable + decay).map(|k| match k {
        k if k < WARMUP => 1e-2 * (k + 1) as f64 / WARMUP as f64,
        k if k < stable => 1e-2,
        k => 1e-2 * (1.0 - 0.9 * (k + 1 - stable) as f64 / decay as f64),
    });
    Schedule::new(rates.collect(), WARMUP).expect("rates")
}

/// A trunk of 2400 steps with branches from `stable`, of which the first `run` have been run.
fn tree(law: &MultiPowerLaw, stable: &[usize], run: usize, noise: f64, seed: u64) -> Tree {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut curve = |schedule: &Schedule, from: usize| -> Vec<(usize, f64)> {
        let steps: Vec<usize> = (from + 1..=schedule.steps()).collect();
        let losses = law.predict(schedule, &steps);
        steps.into_iter().zip(losses).map(|(step, loss)| (step, loss + noise * rng.random_range(-1.0..1.0))).collect()
    };
    let whole = schedule(2400, 0);
    let trunk = LossCurve { name: "trunk".to_owned(), points: curve(&whole, 100), schedule: whole.clone() };
    let branches = stable.iter().enumerate().map(|(index, &stable)| {
        let schedule = schedule(stable, stable / 10);
        let is_run = index < run;
        Branch {
            name: stable.to_string(),
            points: if is_run { curve(&schedule, stable) } else { Vec::new() },
            loss: is_run.then(|| law.predict_end(&schedule) + HARDER),
            schedule,
        }
    });
    let branches = branches.collect();
    let held_out = vec![(1200, law.predict(&whole, &[1200])[0] + HARDER), (2400, law.predict_end(&whole) + HARDER)];
    Tree { trunk, held_out, branches }
}

fn options() -> CurveOptions {
    CurveOptions { bootstrap: BootstrapOptions { draws: 20, ..BootstrapOptions::default() }, ..CurveOptions::default() }
}

const STABLE: [usize; 5] = [600, 1000, 1400, 1800, 2400];

#[test]
fn branches_that_were_not_run_are_forecast() {
    let made = tree(&LAW, &STABLE, 3, 0.03, 1);
    let found = forecast(&made, None, &options()).expect("three decays");
    let unseen = found.unseen.expect("three decays");
    assert_eq!(unseen.branches, 3);
    assert!(unseen.worst < 0.02 && unseen.rmse <= unseen.worst, "{unseen:?}");
    for (branch, stable) in found.branches.iter().zip(STABLE) {
        let truth = LAW.predict_end(&schedule(stable, stable / 10)) + HARDER;
        assert!((branch.loss - truth).abs() < 0.02, "{branch:?} {truth}");
        let interval = branch.interval.expect("three errors");
        assert!(interval.contains(truth) && interval.high - interval.low < 0.1, "{branch:?} {truth}");
        assert_eq!(branch.measured.is_some(), stable < 1800);
    }
    assert!((found.offset.0 - HARDER).abs() < 0.01 && found.offset.1 == 3, "{:?}", found.offset);
}

#[test]
fn a_finished_branch_is_forecast_without_itself() {
    let made = tree(&LAW, &STABLE, 5, 0.0, 1);
    let before = forecast(&made, None, &options()).expect("five decays");
    // The last branch's own result must not affect its forecast.
    let mut wrong = made;
    wrong.branches[4].loss = Some(9.0);
    wrong.branches[4].points.iter_mut().for_each(|point| point.1 = 9.0);
    let after = forecast(&wrong, None, &options()).expect("five decays");
    // Except through the descent's start, which is the law of all: the last digits are the optimiser's.
    assert!((after.branches[4].loss - before.branches[4].loss).abs() < 1e-6);
    assert!(after.unseen.expect("five").worst > 5.0);
}

#[test]
fn a_trunk_alone_is_refused_or_takes_a_donor() {
    let made = tree(&LAW, &STABLE, 0, 0.02, 2);
    assert_eq!(forecast(&made, None, &options()), Err(ForecastError::NothingDecayed));
    let donor = Donor { decay: LAW.decay, transfer: None };
    let found = forecast(&made, Some(&donor), &options()).expect("a donor");
    assert_eq!(found.unseen, None);
    for (branch, stable) in found.branches.iter().zip(STABLE) {
        let truth = LAW.predict_end(&schedule(stable, stable / 10)) + HARDER;
        assert!((branch.loss - truth).abs() < 0.01, "{branch:?} {truth}");
        assert_eq!(branch.interval, None, "nothing says how far off a carried-over term is");
    }
    let tried = Donor { transfer: Some((0.02, 4)), ..donor };
    let interval =
        forecast(&made, Some(&tried), &options()).expect("a donor").branches[0].interval.expect("four errors");
    assert!(interval.high - interval.low > 0.08, "{interval:?}");
}

#[test]
fn a_donor_is_judged_by_branches_it_has_not_seen() {
    let made = tree(&LAW, &STABLE, 3, 0.0, 2);
    let donor = Donor { decay: DecayTerm { b: 50.0, ..LAW.decay }, transfer: Some((1e-6, 9)) };
    let found = forecast(&made, Some(&donor), &options()).expect("a donor");
    let unseen = found.unseen.expect("three decays");
    // Twice the drop, so that every forecast is too low, and the branches' own errors count instead of the donor's.
    assert!(unseen.bias < -0.1, "{unseen:?}");
    assert!(found.branches.iter().all(|branch| branch.interval.is_some_and(|i| i.high - i.low > 0.2)));
}

#[test]
fn one_finished_decay_forecasts_others_without_an_interval() {
    let found = forecast(&tree(&LAW, &STABLE, 1, 0.0, 3), None, &options()).expect("one decay");
    assert_eq!(found.unseen, None, "nothing to forecast it from");
    assert!(found.branches.iter().all(|branch| branch.interval.is_none()));
    let truth = LAW.predict_end(&schedule(2400, 240)) + HARDER;
    assert!((found.branches[4].loss - truth).abs() < 0.03, "{} {truth}", found.branches[4].loss);
}

#[test]
fn hostile_trees_are_refused() {
    let donor = Donor { decay: LAW.decay, transfer: None };
    let mut silent = tree(&LAW, &STABLE, 0, 0.0, 1);
    silent.held_out.clear();
    assert_eq!(forecast(&silent, Some(&donor), &options()), Err(ForecastError::NoHeldOutLoss));
    let mut short = tree(&LAW, &STABLE, 0, 0.0, 1);
    short.trunk.points.truncate(5);
    assert!(matches!(forecast(&short, Some(&donor), &options()), Err(ForecastError::NoLaw(_))));
    let mut broken = tree(&LAW, &STABLE, 2, 0.0, 1);
    broken.branches[1].points[3].1 = f64::NAN;
    assert!(matches!(forecast(&broken, None, &options()), Err(ForecastError::NoLaw(_))));
}
