//! The curve predictor on published curves (Luo and others, 2025, arXiv 2503.12811): fitted to some schedules,
//! predicting others.
//!
//! The curves are read from the folder named by `WINDTUNNEL_PUBLISHED_DATA`; without it the tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaling::BootstrapOptions;
use scaling::multipower::{
    Agreement, CurveError, CurveOptions, DecayTerm, LossCurve, MultiPowerLaw, Schedule, ScheduleError, Shape, fit,
};

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("WINDTUNNEL_PUBLISHED_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: WINDTUNNEL_PUBLISHED_DATA is not set");
    }
    folder.map(|folder| folder.join("multipowerlaw/loss_curve_repo"))
}

const WARMUP: usize = 2160;
const PEAK: f64 = 3e-4;
const END: f64 = 3e-5;

/// The learning rate of each step of a schedule, which the file's name encodes.
fn rates(name: &str) -> Vec<f64> {
    let parts: Vec<&str> = name.split('_').collect();
    let number = |part: usize| -> usize { parts[part].parse().expect("a number") };
    let (steps, after): (usize, Box<dyn Fn(usize) -> f64>) = match parts[0] {
        "constant" => (number(1), Box::new(|_| PEAK)),
        "cosine" => {
            let total = number(1);
            let period = (total - WARMUP) as f64;
            let at = move |k: usize| {
                END + 0.5 * (PEAK - END) * (1.0 + (std::f64::consts::PI * (k - WARMUP) as f64 / period).cos())
            };
            (total, Box::new(at))
        }
        "wsdcon" => {
            let low = number(1) as f64 * 1e-5;
            (16_000, Box::new(move |k| if k < 8_000 { PEAK } else { low }))
        }
        shape => {
            let (start, total, linear) = (number(1), number(2), shape == "wsdld");
            let at = move |k: usize| {
                let progress = k.saturating_sub(start) as f64 / (total - start) as f64;
                if linear { PEAK + (END - PEAK) * progress } else { PEAK * (END / PEAK).powf(progress) }
            };
            (total, Box::new(at))
        }
    };
    (0..steps).map(|k| if k < WARMUP { PEAK * k as f64 / (WARMUP - 1) as f64 } else { after(k) }).collect()
}

/// A curve, whose schedule is checked against the learning rates stored with its losses.
fn curve(folder: &Path, size: &str, name: &str) -> LossCurve {
    let text = fs::read_to_string(folder.join(format!("csv_{size}/{name}.csv"))).expect("the curve is there");
    let rates = rates(name);
    let points: Vec<(usize, f64)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<f64> = line.split(',').map(|cell| cell.trim().parse().expect("a number")).collect();
            (cells[0], cells[1], cells[2])
        })
        .filter(|(step, ..)| (*step as usize) > WARMUP && (*step as usize) < rates.len())
        .map(|(step, rate, loss)| {
            let step = step as usize;
            assert!((rates[step] / rate - 1.0).abs() < 2e-3, "{name} {step}: {} {rate}", rates[step]);
            (step, loss)
        })
        .collect();
    LossCurve { name: name.to_owned(), schedule: Schedule::new(rates, WARMUP).expect("a schedule"), points }
}

const FITTED: [&str; 3] = ["cosine_24000", "constant_24000", "wsdcon_9"];
const PREDICTED: [&str; 6] =
    ["constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18"];

fn options(shape: Shape) -> CurveOptions {
    let bootstrap = BootstrapOptions { draws: 0, ..BootstrapOptions::default() };
    CurveOptions { shape, bootstrap, ..CurveOptions::default() }
}

fn agreement(law: &MultiPowerLaw, curve: &LossCurve) -> Agreement {
    let (steps, losses): (Vec<usize>, Vec<f64>) = curve.points.iter().copied().unzip();
    Agreement::of(&law.predict(&curve.schedule, &steps), &losses).expect("points")
}

/// Agreement averaged over the curves that were not fitted.
fn predicted(folder: &Path, size: &str, law: &MultiPowerLaw) -> Agreement {
    let all = PREDICTED.map(|name| agreement(law, &curve(folder, size, name)));
    let mean = |of: fn(&Agreement) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    Agreement {
        r_squared: mean(|one| one.r_squared),
        mean_error: mean(|one| one.mean_error),
        rmse: mean(|one| one.rmse),
        mean_relative: mean(|one| one.mean_relative),
        worst_relative: mean(|one| one.worst_relative),
    }
}

/// Published, means over the same six curves: R2, mean error in nats, worst relative error; L0, B and alpha.
const PUBLISHED: [(&str, [f64; 3], [f64; 3]); 3] = [
    ("25", [0.9988, 0.003_76, 0.004_09], [3.040, 363.788, 0.508]),
    ("100", [0.9983, 0.004_35, 0.005_83], [2.651, 437.946, 0.453]),
    ("400", [0.9978, 0.004_84, 0.009_95], [2.375, 523.425, 0.429]),
];

/// Fitted to three schedules, asked for six others, two of which are three times as long. With the exponents beta and gamma
/// given, the figures on 2026-11-25 were R2 0.9987, 0.9979 and 0.9966, mean errors of 0.0037, 0.0042 and 0.0061 nats and
/// worst relative errors of 0.0027, 0.0048 and 0.0066; with all seven parameters free 0.9977, 0.9967 and 0.9963, 0.0043,
/// 0.0053 and 0.0061, 0.0028, 0.0053 and 0.0066. So the free fit, which is lower in the objective, predicts no better. The
/// published fits end higher in the same objective, and are a little better on the longest curves of the largest model.
#[test]
fn other_schedules_are_predicted_about_as_well_as_published() {
    let Some(folder) = folder() else { return };
    for (size, [r_squared, mean_error, worst], [l0, b, alpha]) in PUBLISHED {
        let curves = FITTED.map(|name| curve(&folder, size, name));
        let given = fit(&curves, &options(Shape::PUBLISHED)).expect("fits");
        let free = fit(&curves, &options(Shape::Free)).expect("fits");
        assert!(free.objective < given.objective, "{size}: two parameters more");
        for (found, slack) in [(&given, 1.3), (&free, 1.3)] {
            assert!(found.converged && 2 * found.agreeing >= found.starts, "{size}: {} agree", found.agreeing);
            let all = predicted(&folder, size, &found.law);
            assert!(1.0 - all.r_squared < 2.0 * (1.0 - r_squared) + 2e-4, "{size}: {all:?}");
            assert!(all.mean_error < slack * mean_error, "{size}: {all:?}");
            assert!(all.worst_relative < worst, "{size}: {all:?}");
        }
        // The published code also sums over the changes of the warm-up: its B at the peak rate has fully taken effect
        // by the first point, and is part of L0 here.
        assert!((given.law.l0 - (l0 + b * PEAK)).abs() < 0.02, "{size}: {:?}", given.law);
        assert!((given.law.alpha - alpha).abs() < 0.02, "{size}: {:?}", given.law);
    }
}

/// WSD with an exponential and with a linear decay, from the trunk and two-stage and cosine schedules: to 0.0014 of the
/// loss over the whole curve on average, and to 0.007 anywhere.
#[test]
fn wsd_is_predicted_from_schedules_without_one() {
    let Some(folder) = folder() else { return };
    for (size, ..) in PUBLISHED {
        let found = fit(&FITTED.map(|name| curve(&folder, size, name)), &options(Shape::PUBLISHED)).expect("fits");
        for name in ["wsd_20000_24000", "wsdld_20000_24000"] {
            let found = agreement(&found.law, &curve(&folder, size, name));
            assert!(found.r_squared > 0.998 && found.mean_relative < 0.0014, "{size} {name}: {found:?}");
            assert!(found.worst_relative < 0.007, "{size} {name}: {found:?}");
        }
    }
}

fn trunk(folder: &Path, size: &str) -> LossCurve {
    let mut trunk = curve(folder, size, "constant_24000");
    trunk.points.retain(|point| point.0 <= 20_000);
    trunk
}

/// Predicted minus measured at the last point of a WSD curve's decay.
fn off_at_the_end(folder: &Path, size: &str, law: &MultiPowerLaw) -> f64 {
    let wsd = curve(folder, size, "wsd_20000_24000");
    let (step, loss) = *wsd.points.last().expect("points");
    law.predict(&wsd.schedule, &[step])[0] - loss
}

/// The use in a campaign: the trunk and one finished decay of another form. The decay brings 0.07 nats and more; its end was
/// off by 0.0022, -0.0039 and -0.0084 nats on 2026-11-25.
#[test]
fn a_decay_is_forecast_from_the_trunk_and_another_decay() {
    let Some(folder) = folder() else { return };
    for (size, ..) in PUBLISHED {
        let mut other = curve(&folder, size, "wsdld_20000_24000");
        other.points.retain(|point| point.0 > 20_000);
        let found = fit(&[trunk(&folder, size), other], &options(Shape::PUBLISHED)).expect("fits");
        let off = off_at_the_end(&folder, size, &found.law);
        assert!(off.abs() < 0.011, "{size}: {off}");
    }
}

/// Carried over between models that differ by a factor of up to 16, a decay term is off by half of what it says: the end
/// of a decay that brings 0.07 to 0.095 nats was off by 0.001 to 0.047 on 2026-11-25, 0.028 of which it is off at its own size.
#[test]
fn a_trunk_alone_is_refused_and_takes_the_decay_term_of_another_size() {
    let Some(folder) = folder() else { return };
    for (size, ..) in PUBLISHED {
        for shape in [Shape::Free, Shape::PUBLISHED] {
            assert_eq!(fit(&[trunk(&folder, size)], &options(shape)), Err(CurveError::NoDecay));
        }
    }
    for (donor, ..) in PUBLISHED {
        let decay =
            fit(&FITTED.map(|name| curve(&folder, donor, name)), &options(Shape::PUBLISHED)).expect("fits").law.decay;
        for (size, ..) in PUBLISHED {
            let found = fit(&[trunk(&folder, size)], &options(Shape::Given { decay })).expect("a trunk");
            let off = off_at_the_end(&folder, size, &found.law);
            assert!(off.abs() < 0.055, "{donor} to {size}: {off}");
        }
    }
}

/// A schedule with every kind of step: warm-up, constant, falling, rising again.
fn winding() -> Schedule {
    let rates = (0..3000).map(|k| match k {
        0..100 => 1e-3 * f64::from(k + 1) / 100.0,
        100..1000 => 1e-3,
        1000..2000 => 1e-3 * 0.05_f64.powf(f64::from(k - 1000) / 1000.0),
        2000..2500 => 5e-5,
        _ => 5e-5 + 9e-4 * f64::from(k - 2500) / 500.0,
    });
    Schedule::new(rates.collect(), 100).expect("rates")
}

const LAW: MultiPowerLaw =
    MultiPowerLaw { l0: 2.2, a: 0.9, alpha: 0.45, decay: DecayTerm { b: 300.0, c: 1.8, beta: 0.6, gamma: 0.55 } };

/// The sum as defined, with a term for every step.
fn as_written(law: &MultiPowerLaw, rates: &[f64], warmup: usize, t: usize) -> f64 {
    let DecayTerm { b, c, beta, gamma } = law.decay;
    let mut drop = 0.0;
    let mut sum: f64 = rates[..t].iter().sum();
    let total = sum;
    sum -= rates[..=warmup].iter().sum::<f64>();
    for k in warmup + 1..t {
        let x = rates[k].powf(-gamma) * sum;
        drop += b * (rates[k - 1] - rates[k]) * (1.0 - (c * x + 1.0).powf(-beta));
        sum -= rates[k];
    }
    law.l0 + law.a * total.powf(-law.alpha) - drop
}

#[test]
fn taking_changes_together_costs_less_than_a_ten_thousandth() {
    let schedule = winding();
    let rates: Vec<f64> = (0..3000).map(|step| schedule.rate(step)).collect();
    let steps: Vec<usize> = (1..=60).map(|k| 50 * k).filter(|step| *step > 100).collect();
    for (step, found) in steps.iter().zip(LAW.predict(&schedule, &steps)) {
        let exact = as_written(&LAW, &rates, 100, *step);
        assert!((found - exact).abs() < 1e-4, "{step}: {found} {exact}");
    }
    assert!((LAW.predict_end(&schedule) - as_written(&LAW, &rates, 100, 3000)).abs() < 1e-4);
}

fn made(law: &MultiPowerLaw, schedule: Schedule, name: &str) -> LossCurve {
    let steps: Vec<usize> = (1..=150).map(|k| schedule.steps() * k / 150).filter(|step| *step > 150).collect();
    let losses = law.predict(&schedule, &steps);
    LossCurve { name: name.to_owned(), points: steps.into_iter().zip(losses).collect(), schedule }
}

fn wsd(stable: usize, decay: usize, end: f64) -> Schedule {
    let rates = (0..stable + decay).map(|k| match k {
        k if k < 100 => 1e-3 * (k + 1) as f64 / 100.0,
        k if k < stable => 1e-3,
        k => 1e-3 * end.powf((k + 1 - stable) as f64 / decay as f64),
    });
    Schedule::new(rates.collect(), 100).expect("rates")
}

#[test]
fn a_known_law_comes_back() {
    let curves = [
        made(&LAW, winding(), "winding"),
        made(&LAW, wsd(2500, 0, 1.0), "trunk"),
        made(&LAW, wsd(1000, 1000, 0.02), "wsd"),
    ];
    let found = fit(&curves, &options(Shape::Free)).expect("fits");
    assert!((found.law.l0 - LAW.l0).abs() < 5e-3 && (found.law.alpha - LAW.alpha).abs() < 5e-3, "{:?}", found.law);
    let DecayTerm { b, beta, gamma, .. } = found.law.decay;
    assert!(
        (b / 300.0 - 1.0).abs() < 0.05 && (beta - 0.6).abs() < 0.05 && (gamma - 0.55).abs() < 0.05,
        "{:?}",
        found.law
    );
    for (name, agreement) in &found.agreement {
        assert!(agreement.worst_relative < 2e-4, "{name}: {agreement:?}");
    }
    // A schedule it has not seen.
    let other = wsd(1700, 300, 0.1);
    assert!((found.law.predict_end(&other) - LAW.predict_end(&other)).abs() < 1e-3);
}

#[test]
fn intervals_come_from_stretches_and_do_not_depend_on_threads() {
    let mut curves = [made(&LAW, wsd(2500, 0, 1.0), "trunk"), made(&LAW, wsd(1500, 300, 0.1), "decay")];
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    curves.iter_mut().flat_map(|curve| &mut curve.points).for_each(|point| point.1 += rng.random_range(-0.01..0.01));
    let bootstrap = BootstrapOptions { draws: 30, ..BootstrapOptions::default() };
    let options = CurveOptions { bootstrap, points: 60, ..options(Shape::PUBLISHED) };
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| fit(&curves, &options).expect("fits"))
    };
    let found = with(1);
    assert_eq!(found, with(4));
    let asked = wsd(2000, 400, 0.1);
    let interval = found.interval_at_end(&asked).expect("drawn");
    assert!(interval.low < interval.high && interval.contains(found.law.predict_end(&asked)), "{interval:?}");
    assert!(interval.high - interval.low < 0.05, "{interval:?}");
    assert_eq!(found.intervals.expect("drawn").draws.groups, 16);
}

#[test]
fn hostile_curves_are_refused() {
    let good = made(&LAW, wsd(1000, 500, 0.1), "decay");
    let refused = |curve: LossCurve| fit(&[curve], &options(Shape::PUBLISHED)).expect_err("refused");
    for bad in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        let mut curve = good.clone();
        curve.points[7].1 = bad;
        assert!(matches!(refused(curve), CurveError::BadLoss { .. }));
        assert!(Schedule::new(vec![1e-3, bad.min(-1.0), 1e-3], 0).is_err());
    }
    for step in [0, 100, 1501, 200] {
        let mut curve = good.clone();
        curve.points[9].0 = step;
        assert!(matches!(refused(curve), CurveError::BadStep { .. }), "{step}");
    }
    let flat = LossCurve { points: good.points.iter().map(|point| (point.0, 3.0)).collect(), ..good.clone() };
    assert_eq!(refused(flat), CurveError::NoVariation);
    let few = LossCurve { points: good.points[..14].to_vec(), ..good.clone() };
    assert_eq!(refused(few), CurveError::TooFewPoints { found: 14, parameters: 5, needed: 15 });
    let late =
        LossCurve { points: good.points.iter().copied().filter(|point| point.0 > 1000).collect(), ..good.clone() };
    assert!(matches!(refused(late), CurveError::NarrowRange { .. }));
    let before = LossCurve { points: good.points.iter().copied().filter(|point| point.0 < 1000).collect(), ..good };
    assert_eq!(refused(before), CurveError::NoDecay);
    assert!(matches!(fit(&[], &options(Shape::Free)), Err(CurveError::TooFewPoints { found: 0, .. })));
    for (rates, warmup) in [(vec![], 0), (vec![0.0; 5], 0), (vec![1e-3; 5], 5), (vec![1e-3; 5], 9)] {
        assert!(matches!(Schedule::new(rates, warmup), Err(ScheduleError::NothingAfterWarmup { .. })));
    }
}
