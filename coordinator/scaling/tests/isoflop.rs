//! Compute-optimal frontiers from isoFLOP points and from training curves: a known law's own frontier is recovered.

use scaling::envelope::{self, EnvelopeError, EnvelopeOptions, SizeCurve};
use scaling::isoflop::{self, IsoError, IsoOptions, IsoPoint};
use scaling::{ScalingLaw, Through, Valley};

/// Hoffmann's parametric fit, whose optimum has a closed form: N grows as C^(beta / (alpha + beta)).
const LAW: ScalingLaw = ScalingLaw { c_n: 406.4, alpha: 0.34, c_d: 410.7, beta: 0.28, l0: 1.69 };

fn growth_of_n() -> f64 {
    LAW.beta / (LAW.alpha + LAW.beta)
}

/// `sizes` models at each of seven budgets, a factor of 1.6 apart around the optimum.
fn points(sizes: i32) -> Vec<IsoPoint> {
    let mut points = Vec::new();
    for k in 0..7 {
        let flops = 1e18 * 4.0_f64.powi(k);
        let best = LAW.optimum(flops).expect("falls in both").n;
        for j in 0..sizes {
            // Offset from the optimum by a different amount at each budget, as with a fixed ladder of sizes.
            let n = best * 1.6_f64.powf(f64::from(j) - 0.5 * f64::from(sizes - 1) + 0.37 * f64::from(k % 3 - 1));
            let d = flops / (6.0 * n);
            points.push(IsoPoint { flops, n, d, loss: LAW.predict(n, d) });
        }
    }
    points
}

#[test]
fn the_laws_own_frontier_comes_back() {
    for (through, tolerance) in [
        (Through::Parabola { nearest: Some(5) }, 0.01),
        (Through::Akima, 0.01),
        (Through::Parabola { nearest: None }, 0.02),
    ] {
        let found = isoflop::fit(&points(7), &IsoOptions { through, ..IsoOptions::default() }).expect("seven budgets");
        let frontier = &found.frontier;
        assert_eq!(frontier.best.len(), 7);
        assert!((frontier.n.line.exponent - growth_of_n()).abs() < tolerance, "{through:?} {:?}", frontier.n);
        assert!((frontier.n.line.exponent + frontier.d.line.exponent - 1.0).abs() < 1e-6, "C = 6ND");
        for best in &frontier.best {
            let exact = LAW.optimum(best.flops).expect("falls in both");
            assert!((best.n / exact.n).ln().abs() < 0.12, "{through:?} {best:?} {exact:?}");
            assert!((best.d * best.n * 6.0 / best.flops - 1.0).abs() < 1e-9);
        }
        let interval = frontier.n.exponent.expect("seven budgets");
        assert!(interval.low <= frontier.n.line.exponent && frontier.n.line.exponent <= interval.high);
    }
}

#[test]
fn budgets_without_a_best_size_are_kept_and_not_used() {
    // The two largest budgets have only the three smallest models.
    let all: Vec<IsoPoint> =
        points(7).chunks(7).enumerate().flat_map(|(k, of)| of[..if k < 5 { 7 } else { 3 }].to_vec()).collect();
    let found = isoflop::fit(&all, &IsoOptions::default()).expect("five budgets");
    assert_eq!(found.budgets.len(), 7);
    assert_eq!(found.frontier.best.len(), 5);
    assert_eq!(found.budgets[6].valley, Valley::TooFew { found: 3 });
    assert_eq!(found.budgets[5].valley, Valley::TooFew { found: 3 });
    let few: Vec<IsoPoint> = points(7).into_iter().filter(|point| point.flops < 1e19).collect();
    assert_eq!(
        isoflop::fit(&few, &IsoOptions::default()),
        Err(IsoError::TooFewMinima { found: 2, budgets: 2, needed: 3 })
    );
}

#[test]
fn training_curves_have_the_same_frontier() {
    let curves: Vec<SizeCurve> = (0..12)
        .map(|k| {
            let n = 1e7 * 2.0_f64.powi(k);
            let curve = (0..300).map(|step| 1e6 * 1.05_f64.powi(step)).map(|d| (d, LAW.predict(n, d))).collect();
            SizeCurve { n, curve }
        })
        .collect();
    let found = envelope::fit(&curves, &EnvelopeOptions::default()).expect("twelve sizes");
    // A staircase of twelve sizes gives the exponent to a few hundredths.
    assert!((found.n.line.exponent - growth_of_n()).abs() < 0.03, "{:?}", found.n.line);
    for best in &found.best {
        assert!(best.n > curves[0].n && best.n < curves[11].n, "an end is never best: {best:?}");
        assert!((best.loss - LAW.predict(best.n, best.d)).abs() < 1e-3);
    }
    assert!(found.n.exponent.expect("twelve curves").contains(growth_of_n()));
}

#[test]
fn hostile_points_and_curves_are_refused() {
    let good = points(5);
    for bad in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        for quantity in ["flops", "n", "d", "loss"] {
            let mut all = good.clone();
            match quantity {
                "flops" => all[3].flops = bad,
                "n" => all[3].n = bad,
                "d" => all[3].d = bad,
                _ => all[3].loss = bad,
            }
            match isoflop::fit(&all, &IsoOptions::default()) {
                Err(IsoError::BadPoint { index: 3, quantity: named, .. }) => assert_eq!(named, quantity),
                other => panic!("{other:?}"),
            }
        }
        let curves = vec![SizeCurve { n: 1e6, curve: vec![(1.0, 3.0), (2.0, bad)] }];
        let refused = envelope::fit(&curves, &EnvelopeOptions::default());
        assert!(matches!(refused, Err(EnvelopeError::BadCurve { index: 0, quantity: "loss", .. })));
    }
    let none = Err(IsoError::TooFewMinima { found: 0, budgets: 0, needed: 3 });
    assert_eq!(isoflop::fit(&[], &IsoOptions::default()), none);
    // Equal losses everywhere do not form a valley.
    let flat: Vec<IsoPoint> = good.iter().map(|point| IsoPoint { loss: 3.0, ..*point }).collect();
    let refused = isoflop::fit(&flat, &IsoOptions::default());
    assert_eq!(refused, Err(IsoError::TooFewMinima { found: 0, budgets: 7, needed: 3 }));
    for curves in [vec![], vec![SizeCurve { n: 1e6, curve: vec![(1.0, 3.0)] }]] {
        let refused = envelope::fit(&curves, &EnvelopeOptions::default());
        assert_eq!(refused, Err(EnvelopeError::TooFewSizes { found: 0, needed: 2 }));
    }
    let back = vec![SizeCurve { n: 1e6, curve: vec![(2.0, 3.0), (1.0, 2.0)] }];
    assert_eq!(envelope::fit(&back, &EnvelopeOptions::default()), Err(EnvelopeError::Unordered { index: 0 }));
}
