//! Whole analyses, of tables made from known laws and of a measured one.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaling::{
    Analysis, AnalysisOptions, BootstrapOptions, FitError, FitOptions, KaplanLaw, Law, Method, Objective, Parameter,
    Point, Predicted, Predictor, ScalingLaw, Warning, analyse, fit, fit_law,
};

const LAW: ScalingLaw = ScalingLaw { c_n: 47.2, alpha: 0.398, c_d: 947.0, beta: 0.535, l0: 1.758 };

/// A 5 x 7 table of decayed losses, in nats per token: the recipe `quickstart` in a PyTorch trainer, one seed,
/// 2026-11-23, on 2 cores of an AMD EPYC.
const MEASURED: [(f64, [f64; 7]); 5] = [
    (23_712.0, [3.4258, 3.2878, 3.1869, 3.0960, 3.0214, 2.9643, 2.9107]),
    (53_232.0, [3.2144, 3.0723, 2.9527, 2.8619, 2.7859, 2.7089, 2.6530]),
    (94_528.0, [3.1014, 2.9560, 2.8311, 2.7363, 2.6582, 2.5880, 2.5281]),
    (212_448.0, [2.9581, 2.8108, 2.6873, 2.5901, 2.5117, 2.4406, 2.3749]),
    (377_472.0, [2.9276, 2.7720, 2.6374, 2.5356, 2.4436, 2.3740, 2.3057]),
];
const TOKENS: [f64; 7] = [5e5, 7e5, 1e6, 1.4e6, 2e6, 2.8e6, 4e6];

fn measured() -> Vec<Point> {
    let point = |n: f64, d, loss| Point { size: n.to_string(), n, d, loss, trunk: n.to_string(), ..Point::default() };
    MEASURED
        .iter()
        .flat_map(|(n, losses)| TOKENS.iter().zip(losses).map(move |(&d, &loss)| point(*n, d, loss)))
        .collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    // Irwin and Hall: the sum of twelve uniform numbers has variance one.
    (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
}

/// Sizes a factor of two apart, each on several trunks of five amounts of data. A trunk's luck is added to all its
/// points.
fn table(law: &ScalingLaw, sizes: i32, seeds: usize, trunk_noise: f64, point_noise: f64, seed: u64) -> Vec<Point> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut points = Vec::new();
    for size in 0..sizes {
        let n = 2e4 * 2f64.powi(size);
        for trunk in 0..seeds {
            let luck = trunk_noise * normal(&mut rng);
            for d in [5e5, 1e6, 2e6, 4e6, 8e6] {
                let loss = law.predict(n, d) + luck + point_noise * normal(&mut rng);
                points.push(Point {
                    size: size.to_string(),
                    n,
                    d,
                    loss,
                    trunk: format!("{size}/{trunk}"),
                    seed: trunk.to_string(),
                    ..Point::default()
                });
            }
        }
    }
    points
}

fn options(draws: usize) -> AnalysisOptions {
    AnalysisOptions {
        bootstrap: BootstrapOptions { draws, ..BootstrapOptions::default() },
        ..AnalysisOptions::default()
    }
}

#[test]
fn a_measured_table_has_the_law_an_independent_optimiser_found() {
    let analysis = analyse(&measured(), &AnalysisOptions::default()).expect("fits");
    let law = analysis.fit.law;
    for (parameter, found) in
        [(Parameter::Alpha, 0.398), (Parameter::Beta, 0.535), (Parameter::L0, 1.758), (Parameter::CN, 47.2)]
    {
        assert!((law.get(parameter) / found - 1.0).abs() < 0.01, "{parameter}: {}", law.get(parameter));
    }
    assert!((law.c_d / 947.0 - 1.0).abs() < 0.03, "{}", law.c_d);
    let diagnostics = &analysis.diagnostics;
    assert!((diagnostics.rmse - 0.0136).abs() < 5e-5, "{}", diagnostics.rmse);
    assert!((diagnostics.r_squared - 0.9976).abs() < 5e-5, "{}", diagnostics.r_squared);
    assert!((diagnostics.worst_residual - 0.044).abs() < 5e-4, "{}", diagnostics.worst_residual);
    assert_eq!((diagnostics.monotonicity.in_n.violations, diagnostics.monotonicity.in_d.violations), (0, 0));
    assert_eq!((diagnostics.monotonicity.in_n.pairs, diagnostics.monotonicity.in_d.pairs), (28, 30));
    assert_eq!(diagnostics.seed_spread, None);

    // The largest size at 4M tokens, predicted from the four others: 2.3075, where 2.3057 was measured.
    let held_out = diagnostics.held_out.as_ref().expect("four sizes determine a law");
    let last = held_out.points.last().expect("seven points");
    assert!((last.predicted - 2.3075).abs() < 1e-3, "{}", last.predicted);
    assert!(held_out.max_error > held_out.mean_error && held_out.max_error < 0.03, "{}", held_out.max_error);

    // The largest model is under-trained at few steps, the smallest saturates, and five sizes with one seed are few.
    let interaction = diagnostics.interaction.expect("five trunks");
    assert!(interaction.significant && interaction.coefficient < 0.0, "{interaction:?}");
    assert!(analysis.warnings.iter().any(|warning| matches!(warning, Warning::ResidualPattern { .. })));
    assert!(analysis.warnings.iter().any(|warning| matches!(warning, Warning::FewTrunks { trunks: 5, distinct: 81 })));
    let intervals = analysis.intervals.expect("five trunks");
    assert!(Parameter::ALL.iter().all(|&parameter| intervals.get(parameter).contains(law.get(parameter))));
    let bootstrap = analysis.bootstrap.expect("81 draws differ");
    assert!(bootstrap.draws.redrawn > 0 && bootstrap.draws.distinct == 81 && bootstrap.laws.len() == 81);
    assert!(Parameter::ALL.iter().all(|&parameter| bootstrap.intervals.get(parameter).contains(law.get(parameter))));
    let ratios: Vec<f64> = analysis.optima.iter().map(|optimum| optimum.best.tokens_per_param).collect();
    assert!(
        ratios.windows(2).all(|pair| pair[0] > pair[1]),
        "beta > alpha, so models grow faster than data: {ratios:?}"
    );
}

#[test]
fn known_coefficients_come_back() {
    let exact = analyse(&table(&LAW, 6, 1, 0.0, 0.0, 1), &options(200)).expect("fits");
    for parameter in Parameter::ALL {
        assert!((exact.fit.law.get(parameter) / LAW.get(parameter) - 1.0).abs() < 1e-5, "{parameter}");
    }
    assert!(exact.diagnostics.rmse < 1e-7);
    assert!(exact.diagnostics.held_out.expect("five sizes").max_error < 1e-6);
    assert!(!exact.diagnostics.interaction.expect("six trunks").significant);

    let noisy = analyse(&table(&LAW, 6, 2, 0.004, 0.001, 2), &options(200)).expect("fits");
    assert!((noisy.fit.law.alpha - LAW.alpha).abs() < 0.05, "{}", noisy.fit.law.alpha);
    assert!((noisy.fit.law.beta - LAW.beta).abs() < 0.05, "{}", noisy.fit.law.beta);
    assert!((noisy.fit.law.l0 - LAW.l0).abs() < 0.08, "{}", noisy.fit.law.l0);
    let spread = noisy.diagnostics.seed_spread.expect("two trunks a size");
    assert!((0.001..0.01).contains(&spread), "{spread}");
    assert!(!noisy.warnings.iter().any(|warning| matches!(warning, Warning::FewTrunks { .. })));
}

#[test]
fn the_kaplan_form_comes_back_under_every_objective() {
    // Kaplan et al., table 2 (N_c 6.4e13, D_c 1.8e13 tokens), at sizes where both terms count.
    let law = KaplanLaw { n_c: 6.4e13, alpha_n: 0.076, d_c: 1.8e13, alpha_d: 0.103 };
    let mut points = Vec::new();
    for n in [1e6, 1e7, 1e8, 1e9] {
        for d in [2e7, 2e8, 2e9, 2e10] {
            let name = n.to_string();
            points.push(Point { size: name.clone(), n, d, loss: law.predict(n, d), trunk: name, ..Point::default() });
        }
    }
    for objective in [Objective::default(), Objective::LogLeastSquares, Objective::LeastSquares] {
        let found = fit_law::<KaplanLaw>(&points, &FitOptions { objective }).expect("fits");
        for &parameter in KaplanLaw::PARAMETERS {
            // N_c and D_c extrapolate by many powers of ten.
            let off = (found.law.get(parameter).ln() / law.get(parameter).ln() - 1.0).abs();
            assert!(off < 1e-4, "{objective:?} {parameter}: {}", found.law.get(parameter));
        }
        assert!(found.at_bounds.is_empty() && found.starts_agreeing > 0);
    }
    // The loss has no floor, so an additive law can only approximate it.
    let additive = fit(&points, &FitOptions::default()).expect("fits");
    assert!(additive.objective > 1e-6, "{}", additive.objective);

    let optimum = law.optimum(1e20).expect("falls in both");
    for shift in [0.9, 0.99, 1.01, 1.1] {
        assert!(law.predict(optimum.n * shift, optimum.d / shift) > optimum.loss);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let points = measured();
    let with = |threads| -> Analysis {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| analyse(&points, &options(300)).expect("fits"))
    };
    assert_eq!(with(1), with(4));
    let other = AnalysisOptions {
        bootstrap: BootstrapOptions { seed: 1, draws: 300, ..BootstrapOptions::default() },
        ..options(300)
    };
    assert_ne!(analyse(&points, &other).expect("fits").bootstrap, with(1).bootstrap, "another seed draws otherwise");
}

#[test]
fn an_analysis_survives_json() {
    let analysis = analyse(&measured(), &options(50)).expect("fits");
    let text = serde_json::to_string(&analysis).expect("serialises");
    assert_eq!(serde_json::from_str::<Analysis>(&text).expect("parses"), analysis);
    let value: serde_json::Value = serde_json::from_str(&text).expect("parses");
    assert!(value["intervals"]["C_N"][0].is_f64() && value["fit"]["law"]["L0"].is_f64());
}

#[test]
fn three_trunks_have_a_law_and_no_intervals() {
    let analysis = analyse(&table(&LAW, 3, 1, 0.0, 0.0, 3), &options(100)).expect("fits");
    assert_eq!(analysis.intervals, None);
    assert!(analysis.warnings.contains(&Warning::NoIntervals { trunks: 3 }));
    assert!(analysis.warnings.iter().any(|warning| matches!(warning, Warning::NotHeldOut { .. })));
    assert!(analysis.optima.iter().all(|optimum| optimum.n.is_none()));
}

#[test]
fn what_is_wrong_with_a_table_is_said() {
    let mut rising = table(&LAW, 5, 1, 0.0, 0.0, 4);
    for point in &mut rising {
        point.loss = 2.0 + 0.1 * (point.d / 5e5).ln() + 100.0 * point.n.powf(-0.5);
    }
    let warnings = analyse(&rising, &options(20)).expect("fits").warnings;
    let in_d = |warning: &Warning| matches!(warning, Warning::NotFalling { along, violations: 20, .. } if along == "D");
    assert!(warnings.iter().any(in_d), "{warnings:?}");
    assert!(warnings.iter().all(|warning| !warning.to_string().is_empty()));

    let narrow: Vec<Point> = measured().into_iter().filter(|point| point.d > 1.3e6).collect();
    let warnings = analyse(&narrow, &options(100)).expect("fits").warnings;
    assert!(warnings.iter().any(|warning| matches!(warning, Warning::NarrowRange { along, .. } if along == "D")));
}

#[test]
fn hostile_tables_are_refused() {
    let refusal = |points: &[Point]| analyse(points, &options(20)).expect_err("refused");
    let good = table(&LAW, 5, 1, 0.0, 0.001, 5);
    assert!(matches!(refusal(&[]), FitError::TooFewValues { .. }));
    for value in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
        for change in [
            (|point: &mut Point, to| point.n = to) as fn(&mut Point, f64),
            |point, to| point.d = to,
            |point, to| point.loss = to,
        ] {
            let mut bad = good.clone();
            change(&mut bad[3], value);
            assert!(matches!(refusal(&bad), FitError::BadPoint { index: 3, .. }), "{value}");
        }
    }
    let two_sizes: Vec<Point> = good.iter().filter(|point| point.n < 5e4).cloned().collect();
    assert!(matches!(refusal(&two_sizes), FitError::TooFewValues { found: 2, .. }));
    let tied: Vec<Point> = good.iter().map(|point| Point { d: 20.0 * point.n, ..point.clone() }).collect();
    assert!(matches!(refusal(&tied), FitError::TooFewPoints { .. } | FitError::Confounded { .. }));
    let flat: Vec<Point> = good.iter().map(|point| Point { loss: 3.0, ..point.clone() }).collect();
    assert_eq!(refusal(&flat), FitError::NoVariation);
    let threshold = FitOptions { objective: Objective::Huber { delta: f64::NAN } };
    assert!(matches!(fit(&good, &threshold), Err(FitError::BadThreshold { .. })));
}

/// Twelve runs of one language, as published: four sizes by three amounts of data, and hardly a floor.
const TWELVE: [(f64, [f64; 3]); 4] = [
    (200_000.0, [8.156, 5.643, 4.211]),
    (790_000.0, [7.294, 5.299, 3.818]),
    (4_730_000.0, [6.653, 4.798, 3.207]),
    (25_180_000.0, [6.061, 4.497, 2.79]),
];

#[test]
fn a_floor_on_its_bound_has_an_upper_end_alone() {
    let mut points = Vec::new();
    for (n, losses) in TWELVE {
        for (d, loss) in [5e6, 2e7, 8e7].into_iter().zip(losses) {
            points.push(Point { size: n.to_string(), n, d, loss, trunk: n.to_string(), ..Point::default() });
        }
    }
    for objective in [Objective::default(), Objective::LeastSquares] {
        let options = AnalysisOptions { fit: FitOptions { objective }, ..options(100) };
        let found = analyse(&points, &options).expect("fits");
        assert_eq!(found.fit.at_bounds, [Parameter::L0], "{objective:?}");
        let intervals = found.intervals.as_ref().expect("four trunks");
        let floor = intervals.bounded(Parameter::L0).expect("has an upper end");
        // Floors of 0.3 cost 6% of the objective, so they are within the interval.
        assert!(floor.low == 0.0 && (0.3..=2.8).contains(&floor.high), "{floor:?}");
        assert!(
            found.warnings.iter().any(|warning| matches!(warning, Warning::NoFloor { .. })),
            "{:?}",
            found.warnings
        );
        for parameter in [Parameter::Alpha, Parameter::Beta] {
            let interval = intervals.bounded(parameter).expect("has one");
            assert!(
                interval.contains(found.fit.law.get(parameter)) && interval.high - interval.low > 0.02,
                "{interval:?}"
            );
        }
    }
}

#[test]
fn two_settings_at_every_point_do_not_cancel() {
    let mut points = table(&LAW, 6, 1, 0.002, 0.001, 11);
    for point in &mut points {
        point.loss -= 0.01;
    }
    let twice: Vec<Point> = points.iter().map(|point| Point { loss: point.loss + 0.02, ..point.clone() }).collect();
    let alone = analyse(&points, &options(100)).expect("fits");
    points.extend(twice);
    let both = analyse(&points, &options(100)).expect("fits");
    let of = |analysis: &Analysis, parameter| {
        let intervals = analysis.intervals.as_ref().expect("six trunks");
        intervals.bounded(parameter).expect("has one")
    };
    for parameter in [Parameter::Alpha, Parameter::Beta, Parameter::L0] {
        let (one, two) = (of(&alone, parameter), of(&both, parameter));
        assert!(two.high - two.low > 0.5 * (one.high - one.low), "{parameter}: {one:?} {two:?}");
        assert!(two.contains(LAW.get(parameter)), "{parameter}: {two:?}");
    }
    let said = |warning: &Warning| matches!(warning, Warning::OtherMethod { method: Method::Smoothed, .. });
    assert!(both.warnings.iter().any(said), "{:?}", both.warnings);
    assert!(!alone.warnings.iter().any(said), "{:?}", alone.warnings);
}

/// Their pull is bounded, but a third of the points at one end, all on one side, moves the law by as much as its error.
#[test]
fn outliers_on_one_side_widen_the_intervals() {
    let clean = table(&LAW, 9, 1, 0.002, 0.003, 3);
    let least = clean.iter().map(|point| point.d).fold(f64::INFINITY, f64::min);
    let mut points = clean.clone();
    points.iter_mut().filter(|point| point.d == least).step_by(3).for_each(|point| point.loss += 0.1);
    let of = |points: &[Point]| analyse(points, &options(100)).expect("fits");
    let (clean, found) = (of(&clean), of(&points));
    let beta = |analysis: &Analysis| {
        analysis.intervals.as_ref().and_then(|found| found.bounded(Parameter::Beta)).expect("has one")
    };
    let law = fit(&points, &FitOptions::default()).expect("fits");
    let predictor = Predictor::of(&points, &law, &FitOptions::default(), &options(100).bootstrap);
    let usual = predictor.parameter_by(Method::Clustered, Parameter::Beta).expect("has one");
    let taken = beta(&found);
    assert!(taken.low <= usual.low && taken.high >= usual.high, "{taken:?} {usual:?}");
    assert!(taken.high - taken.low > 1.05 * (usual.high - usual.low), "{taken:?} {usual:?}");
    // It reaches as far as that of the table without them.
    let without = beta(&clean);
    assert!(taken.low < without.low + 0.1 * (without.high - without.low), "{taken:?} {without:?}");
    let said = |warning: &Warning| matches!(warning, Warning::OtherMethod { method: Method::Trimmed, .. });
    let text = found.warnings.iter().find(|warning| said(warning)).expect("says so").to_string();
    assert!(text.contains("without the outliers"), "{text}");
    assert!(!clean.warnings.iter().any(said), "{:?}", clean.warnings);
}

#[test]
fn what_lies_on_a_bound_has_no_interval_and_no_optimum() {
    // An accuracy, which rises, taken for a loss.
    let mut points = table(&LAW, 6, 1, 0.0, 0.0, 4);
    for point in &mut points {
        point.loss = 0.02 * (point.n / 2e4).powf(0.9) + 0.03 * (point.d / 5e5).powf(0.8);
    }
    let found = analyse(&points, &options(100)).expect("fits");
    let bounds = &found.fit.at_bounds;
    assert!(bounds.contains(&Parameter::Beta), "{bounds:?}");
    let intervals = found.intervals.as_ref();
    assert!(intervals.is_none_or(|intervals| intervals.bounded(Parameter::Beta).is_none()), "{intervals:?}");
    let verdict = found.undetermined.as_ref().expect("not determined").to_string();
    assert!(verdict.contains("beta has no interval"), "{verdict}");
    assert!(found.optima.is_empty());
    assert!(!found.warnings.iter().any(|warning| matches!(warning, Warning::WideInterval { .. } | Warning::NoOptimum)));
}

#[test]
fn a_short_range_leads_with_the_verdict() {
    let points: Vec<Point> = table(&LAW, 5, 1, 0.03, 0.03, 5).into_iter().filter(|point| point.d < 3e6).collect();
    let found = analyse(&points, &options(100)).expect("fits");
    let verdict = found.undetermined.expect("not determined").to_string();
    assert!(verdict.starts_with("Not determined: ") && verdict.contains("D of 4.0, in 5 trunks"), "{verdict}");
    assert!(found.optima.is_empty());
}

/// An analysis that is not refused has wide intervals or a warning: it is never confidently wrong.
#[test]
fn hostile_tables_that_are_fitted_are_doubted() {
    let good = table(&LAW, 6, 1, 0.004, 0.001, 5);
    let plain = analyse(&good, &options(50)).expect("fits");

    let mut outlier = good.clone();
    outlier[7].loss *= 10.0;
    let found = analyse(&outlier, &options(50)).expect("fits");
    let named = |warning: &Warning| matches!(warning, Warning::Outliers { worst, .. } if worst.index == 7);
    assert!(found.warnings.iter().any(named), "{:?}", found.warnings);
    assert!((found.fit.law.alpha - plain.fit.law.alpha).abs() < 0.05, "{:?}", found.fit.law);

    let twice: Vec<Point> = good.iter().chain(&good).cloned().collect();
    let found = analyse(&twice, &options(50)).expect("fits");
    assert!(found.warnings.contains(&Warning::Duplicates { rows: good.len() }), "{:?}", found.warnings);
    let width = |analysis: &Analysis| {
        let interval = analysis.intervals.as_ref().expect("six trunks").get(Parameter::Alpha);
        interval.high - interval.low
    };
    assert!(width(&found) > 0.9 * width(&plain), "copies are not evidence: {} {}", width(&found), width(&plain));

    // Losses that nothing explains.
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let noise: Vec<Point> =
        good.iter().map(|point| Point { loss: 3.0 + rng.random_range(0.0..1.0), ..point.clone() }).collect();
    if let Ok(found) = analyse(&noise, &options(50)) {
        let doubted = |warning: &Warning| {
            matches!(warning, Warning::WideInterval { .. } | Warning::AtBound { .. } | Warning::NoIntervals { .. })
        };
        assert!(found.undetermined.is_some() || found.warnings.iter().any(doubted), "{:?}", found.warnings);
    }
}

#[test]
fn a_predictor_says_how_far_out_it_is_asked() {
    let points = table(&LAW, 6, 2, 0.004, 0.001, 2);
    let fitting = FitOptions::default();
    let found = fit(&points, &fitting).expect("fits");
    let predictor: Predictor = Predictor::of(&points, &found, &fitting, &BootstrapOptions::default());
    let (inside, far) = (predictor.predict(4e4, 2e6), predictor.predict(6.4e7, 8e8));
    let width =
        |predicted: &Predicted| predicted.interval.map(|interval| interval.high - interval.low).expect("bounded");
    assert_eq!((inside.beyond_n, inside.beyond_d), (1.0, 1.0));
    assert!((far.beyond_n - 100.0).abs() < 1e-6 && (far.beyond_d - 100.0).abs() < 1e-6, "{far:?}");
    assert!(width(&far) > 3.0 * width(&inside), "{} {}", width(&far), width(&inside));
    let optimum = predictor.optimum(1e20).expect("falls in both");
    assert!(!optimum.measured && optimum.tokens_per_param.is_some_and(|at| at.contains(optimum.best.tokens_per_param)));
    let covariance = predictor.covariance().expect("twelve trunks");
    assert!(covariance.matrix[1][1] > 0.0 && covariance.freedom.iter().all(|freedom| *freedom >= 1.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// For any positive losses the result is a law or an error, and every number in it is finite.
    #[test]
    fn any_table_has_an_answer(losses in prop::collection::vec(0.01..20.0_f64, 16)) {
        let mut points = table(&LAW, 4, 1, 0.0, 0.0, 6);
        points.retain(|point| point.d < 5e6);
        for (point, loss) in points.iter_mut().zip(losses) {
            point.loss = loss;
        }
        if let Ok(analysis) = analyse(&points, &options(20)) {
            prop_assert!(Parameter::ALL.iter().all(|&of| analysis.fit.law.get(of).is_finite()));
            prop_assert!(analysis.diagnostics.rmse.is_finite() && analysis.diagnostics.r_squared <= 1.0);
        }
    }
}
