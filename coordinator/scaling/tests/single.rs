//! Laws in one variable: known coefficients are recovered, forms are told apart, and hostile observations are refused.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaling::single::{Form, Observation, SingleError, SingleFit, SingleLaw, SingleOptions, compare, fit};
use scaling::{BootstrapOptions, Objective};

const FORMS: [Form; 4] = [Form::Power, Form::PowerFloor, Form::Exponential, Form::ExponentialFloor];
const OBJECTIVES: [Objective; 3] =
    [Objective::Huber { delta: 1e-3 }, Objective::LogLeastSquares, Objective::LeastSquares];

fn truth(form: Form) -> SingleLaw {
    let c = if form.has_floor() { 1.7 } else { 0.0 };
    if form.is_power() { SingleLaw { form, a: 60.0, b: 0.31, c } } else { SingleLaw { form, a: 2.5, b: 4e-7, c } }
}

/// Twelve amounts of data over a factor of fifty, each a group of its own; `noise` is relative and uniform.
fn observe(law: &SingleLaw, noise: f64, seed: u64) -> Vec<Observation> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..12)
        .map(|group| {
            let x = 2e5 * 50.0_f64.powf(group as f64 / 11.0);
            let wobble: f64 = rng.random_range(-1.0..1.0);
            Observation { x, y: law.predict(x) * (noise * wobble).exp(), group }
        })
        .collect()
}

fn options(objective: Objective, draws: usize) -> SingleOptions {
    SingleOptions { objective, bootstrap: BootstrapOptions { draws, ..BootstrapOptions::default() } }
}

fn close(found: &SingleLaw, truth: &SingleLaw, tolerance: f64) -> bool {
    (found.a / truth.a - 1.0).abs() < tolerance
        && (found.b / truth.b - 1.0).abs() < tolerance
        && (found.c - truth.c).abs() < tolerance * truth.c.max(1.0)
}

#[test]
fn every_form_comes_back_under_every_objective() {
    for form in FORMS {
        for objective in OBJECTIVES {
            let seen = observe(&truth(form), 0.0, 0);
            let found = fit(&seen, form, &options(objective, 50)).unwrap_or_else(|error| panic!("{form}: {error}"));
            assert!(close(&found.law, &truth(form), 1e-4), "{form} {objective:?}: {:?}", found.law);
            assert!(found.converged && found.agreeing >= 1 && found.agreeing <= found.starts, "{form}");
            assert!(!found.floor_vanished && !found.rate_at_bound, "{form}: {found:?}");
        }
    }
}

#[test]
fn most_starts_agree_where_the_form_is_right() {
    for form in [Form::PowerFloor, Form::ExponentialFloor] {
        for objective in OBJECTIVES {
            let found = fit(&observe(&truth(form), 0.01, 3), form, &options(objective, 20)).expect("fits");
            assert!(2 * found.agreeing >= found.starts, "{form} {objective:?}: {} of {}", found.agreeing, found.starts);
        }
    }
}

#[test]
fn the_right_form_wins() {
    for (form, wrong) in [(Form::PowerFloor, Form::ExponentialFloor), (Form::ExponentialFloor, Form::PowerFloor)] {
        let seen = observe(&truth(form), 0.004, 11);
        let ranked = compare(&seen, &[wrong, form], &options(Objective::LogLeastSquares, 20)).expect("both fit");
        assert_eq!(ranked.best().law.form, form);
        assert!(ranked.margin().expect("twelve observations") > 2.0, "{form}: {:?}", ranked.margin());
        assert!(ranked.best().rmse < ranked.fits[1].rmse);
    }
}

#[test]
fn what_the_observations_do_not_show_is_said() {
    let seen = observe(&truth(Form::Power), 0.0, 0);
    let found = fit(&seen, Form::PowerFloor, &options(Objective::LogLeastSquares, 20)).expect("fits");
    assert!(found.law.c < 1e-3 * seen[11].y, "{:?}", found.law);
    assert!((found.law.b / 0.31 - 1.0).abs() < 1e-3);
}

#[test]
fn an_outlier_moves_squares_and_not_huber() {
    let law = truth(Form::PowerFloor);
    let mut seen = observe(&law, 0.0005, 5);
    seen[4].y *= 1.2;
    let of = |objective| fit(&seen, Form::PowerFloor, &options(objective, 20)).expect("fits").law;
    let (huber, squares) = (of(Objective::Huber { delta: 1e-3 }), of(Objective::LogLeastSquares));
    assert!((huber.b / law.b - 1.0).abs() < 0.05, "{huber:?}");
    assert!((squares.b / law.b - 1.0).abs() > 0.1, "{squares:?}");
}

/// Of 200 sets of observations, how many intervals of b hold the truth: 95% less what counting error allows (three
/// standard deviations of 200 draws are 4.6 points), and, for percentiles of twelve groups, their known narrowness.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let law = truth(Form::Power);
    let (mut by_draws, mut by_delta) = (0, 0);
    for seed in 0..200 {
        let found =
            fit(&observe(&law, 0.05, seed), Form::Power, &options(Objective::LogLeastSquares, 300)).expect("fits");
        by_draws += usize::from(found.bootstrap.expect("twelve groups").intervals.b.contains(law.b));
        by_delta += usize::from(found.delta.expect("no floor").b.contains(law.b));
    }
    assert!((180..=199).contains(&by_delta), "{by_delta} of 200 by the delta method");
    assert!((168..=199).contains(&by_draws), "{by_draws} of 200 by resampling");
}

#[test]
fn groups_that_share_their_luck_widen_the_intervals() {
    let law = truth(Form::Power);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut seen = Vec::new();
    for group in 0..6 {
        let luck: f64 = rng.random_range(-0.05..0.05);
        for step in 0..6 {
            let x = 1e5 * 2.0_f64.powi(group as i32 + 2 * step);
            seen.push(Observation { x, y: law.predict(x) * luck.exp(), group });
        }
    }
    let together = fit(&seen, Form::Power, &SingleOptions::default()).expect("fits");
    seen.iter_mut().enumerate().for_each(|(index, seen)| seen.group = index);
    let apart = fit(&seen, Form::Power, &SingleOptions::default()).expect("fits");
    let at = |found: &SingleFit| found.interval_at(1e6).map(|interval| interval.high - interval.low).expect("drawn");
    assert!(at(&together) > 1.4 * at(&apart), "{} {}", at(&together), at(&apart));
    assert_eq!(together.law, apart.law);
}

#[test]
fn threads_decide_nothing() {
    let seen = observe(&truth(Form::PowerFloor), 0.01, 2);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| fit(&seen, Form::PowerFloor, &SingleOptions::default()).expect("fits"))
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn a_fit_survives_json() {
    let found =
        fit(&observe(&truth(Form::PowerFloor), 0.01, 2), Form::PowerFloor, &SingleOptions::default()).expect("fits");
    let text = serde_json::to_string(&found).expect("serialises");
    let mut back: SingleFit = serde_json::from_str(&text).expect("reads");
    assert_eq!(back.law.form, Form::PowerFloor);
    // The laws of the draws are not part of the file.
    back.bootstrap.as_mut().expect("drawn").laws = found.bootstrap.clone().expect("drawn").laws;
    assert!((back.law.b - found.law.b).abs() < 1e-12);
}

#[test]
fn hostile_observations_are_refused() {
    let seen = |values: &[(f64, f64)]| -> Vec<Observation> {
        values.iter().enumerate().map(|(group, &(x, y))| Observation { x, y, group }).collect()
    };
    let refused =
        |values: &[(f64, f64)], form| fit(&seen(values), form, &SingleOptions::default()).expect_err("refused");
    let falling = [(1.0, 4.0), (2.0, 3.0), (4.0, 2.5), (8.0, 2.2), (16.0, 2.1)];
    for form in FORMS {
        assert!(matches!(refused(&[], form), SingleError::TooFewValues { found: 0, .. }));
        assert!(matches!(refused(&falling[..2], form), SingleError::TooFewValues { found: 2, .. }));
        for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            let mut values = falling;
            values[3].1 = bad;
            assert!(matches!(refused(&values, form), SingleError::BadObservation { index: 3, quantity: "y", .. }));
            let mut values = falling;
            values[1].0 = bad;
            assert!(matches!(refused(&values, form), SingleError::BadObservation { index: 1, quantity: "x", .. }));
        }
        assert_eq!(refused(&falling.map(|(x, _)| (x, 2.0)), form), SingleError::NoVariation);
        // One x repeated many times is one value.
        assert!(matches!(refused(&falling.map(|(_, y)| (3.0, y)), form), SingleError::TooFewValues { found: 1, .. }));
    }
    let rising = falling.map(|(x, y)| (x, 1.0 / y));
    for form in [Form::PowerFloor, Form::ExponentialFloor] {
        assert_eq!(refused(&rising, form), SingleError::NotFalling { form });
    }
    let found = fit(&seen(&rising), Form::Power, &SingleOptions::default()).expect("a power may rise");
    assert!(found.law.b < 0.0);
    let bad = SingleOptions { objective: Objective::Huber { delta: 0.0 }, ..SingleOptions::default() };
    assert_eq!(fit(&seen(&falling), Form::Power, &bad), Err(SingleError::BadThreshold { delta: 0.0 }));
}
