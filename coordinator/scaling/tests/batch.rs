//! The batch-size law: the paper's own is recovered from curves made from it, and nothing is invented that the runs do
//! not show.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use scaling::batch::{BatchError, BatchOptions, BatchRun, Levels, fit, iso_losses};
use scaling::{BootstrapOptions, Through, Valley};

/// bs = 1.21e9 / L^6.24, section 3.2 of the paper.
const C: f64 = 1.21e9;
const P: f64 = 6.24;

fn best_batch(loss: f64) -> f64 {
    C / loss.powf(P)
}

/// How batch sizes are spaced: neighbours differ by a factor of two to the power of `step`, and beyond the best batch
/// the tokens rise `steep` times as fast.
#[derive(Clone, Copy)]
struct Ladder {
    step: f64,
    steep: f64,
}

const EVEN: Ladder = Ladder { step: 1.2, steep: 1.0 };

/// Tokens to a loss: a law in D that differs by size, and a parabola over log B around the best batch.
fn tokens(n: f64, batch: f64, loss: f64, steep: f64) -> f64 {
    let floor = 1.6 + 40.0 * n.powf(-0.3);
    let fewest = (420.0 / (loss - floor)).powf(1.0 / 0.3);
    let away = (batch / best_batch(loss)).ln();
    fewest * (0.04 * if away > 0.0 { steep } else { 1.0 } * away.powi(2)).exp()
}

/// A run that ends once it reaches the size's lowest loss; `noise` is added to each loss.
fn run((size, n, steep): (&str, f64, f64), batch: f64, ends: (f64, f64), noise: f64, seed: u64) -> BatchRun {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut curve: Vec<(f64, f64)> = Vec::new();
    for k in 0..400 {
        let loss = ends.0 + (ends.1 - ends.0) * f64::from(k) / 399.0;
        let seen = tokens(n, batch, loss, steep);
        if curve.last().is_none_or(|last| seen > last.0) {
            let wobble: f64 = rng.random_range(-1.0..1.0);
            curve.push((seen, loss + noise * wobble));
        }
    }
    BatchRun { size: size.to_owned(), n, batch, curve }
}

/// The paper's three sizes, each at six batch sizes around the best ones for its losses.
fn runs(noise: f64, seed: u64) -> Vec<BatchRun> {
    runs_on(EVEN, noise, seed)
}

fn runs_on(ladder: Ladder, noise: f64, seed: u64) -> Vec<BatchRun> {
    let mut all = Vec::new();
    for (i, (size, n, ends)) in
        [("0.009B", 9.4e6, (4.6, 3.5)), ("0.03B", 3.6e7, (4.2, 3.2)), ("0.17B", 1.66e8, (3.8, 2.9))]
            .into_iter()
            .enumerate()
    {
        let middle = best_batch(f64::cbrt(ends.0 * ends.1 * ends.1));
        for j in 0..6_u32 {
            let batch = middle * 2.0_f64.powf(ladder.step * (f64::from(j) - 2.5));
            let seed = seed * 100 + i as u64 * 10 + u64::from(j);
            all.push(run((size, n, ladder.steep), batch, ends, noise, seed));
        }
    }
    all
}

fn options(draws: usize) -> BatchOptions {
    BatchOptions { bootstrap: BootstrapOptions { draws, ..BootstrapOptions::default() }, ..BatchOptions::default() }
}

#[test]
fn the_papers_law_comes_back() {
    let found = fit(&runs(0.0, 0), &options(300)).expect("three sizes at six batches");
    assert!((found.p / P - 1.0).abs() < 2e-3, "{}", found.p);
    for (loss, batch) in [(4.0, 0.21e6), (3.5, 0.49e6), (3.0, 1.28e6)] {
        // The paper's values are rounded to two digits.
        assert!((found.predict(loss) / batch - 1.0).abs() < 0.025, "{loss}: {}", found.predict(loss));
    }
    assert!(found.line.converged && found.line.r_squared > 0.999, "{:?}", found.line);
    assert_eq!(found.iso_losses.len(), 24);
}

#[test]
fn noisy_curves_give_an_interval_that_holds_it() {
    let mut held = 0;
    for seed in 1..=20 {
        let found = fit(&runs(0.02, seed), &options(200)).expect("fits");
        assert!((found.p / P - 1.0).abs() < 0.1, "{}", found.p);
        let intervals = found.intervals.as_ref().expect("eighteen runs");
        held += usize::from(intervals.p.contains(P));
        let at = found.interval_at(3.3).expect("drawn");
        assert!(at.low < at.high && at.contains(found.predict(3.3)));
        assert!(intervals.draws.used >= 190, "{:?}", intervals.draws);
    }
    // At 95%, seventeen or more of twenty have a probability of 98.4%.
    assert!(held >= 17, "{held} of 20");
}

#[test]
fn a_lopsided_valley_does_not_tilt_the_law() {
    // Batch sizes over a factor of 32, and tokens that rise five times as fast beyond the best one as before it.
    let lopsided = runs_on(Ladder { step: 1.0, steep: 5.0 }, 0.0, 0);
    let off = |through| {
        let found = fit(&lopsided, &BatchOptions { through, ..options(20) }).expect("three sizes at six batches");
        (found.p / P - 1.0).abs()
    };
    assert!(off(BatchOptions::default().through) < 0.01);
    assert!(off(Through::Parabola { nearest: None }) > 0.04, "a parabola through all of them does");
}

#[test]
fn a_best_batch_beyond_those_measured_is_not_made_up() {
    let all: Vec<BatchRun> = runs(0.0, 0);
    // Only the four smallest batches of each size: the best one at its low losses is larger.
    let small: Vec<BatchRun> = all.chunks(6).flat_map(|size| size[..4].to_vec()).collect();
    let found = iso_losses(&small, &options(20)).expect("four batches");
    for iso in &found {
        let largest = iso.reached.iter().map(|reached| reached.batch).fold(0.0, f64::max);
        match iso.valley {
            Valley::Lowest { at, .. } => assert!(at < largest && best_batch(iso.loss) < 1.01 * largest, "{iso:?}"),
            Valley::Above => assert!(best_batch(iso.loss) > 0.99 * largest, "{iso:?}"),
            ref other => panic!("{other:?} at {}", iso.loss),
        }
    }
    assert!(found.iter().any(|iso| iso.valley == Valley::Above));
}

#[test]
fn a_loss_that_was_not_reached_has_no_tokens() {
    let mut all = runs(0.0, 0);
    all[0].curve.retain(|(_, loss)| *loss > 4.0);
    let given = BatchOptions { levels: Levels::Given { losses: vec![3.6, 4.2, 2.0] }, ..options(20) };
    let found = iso_losses(&all, &given).expect("six batches");
    let at = |loss: f64| found.iter().find(|iso| iso.size == "0.009B" && iso.loss == loss).expect("was asked for");
    assert_eq!(at(4.2).reached.len(), 6);
    assert_eq!(at(3.6).reached.len(), 5, "one run stopped before");
    assert_eq!(at(2.0).valley, Valley::TooFew { found: 0 });
}

#[test]
fn a_valley_of_no_depth_gives_no_law() {
    // Every batch size needs the same tokens.
    let flat: Vec<BatchRun> = (0..5)
        .map(|j| {
            let curve = (1..40).map(|k| (f64::from(k) * 1e5, 5.0 / f64::from(k).powf(0.1))).collect();
            BatchRun { size: "s".to_owned(), n: 1e6, batch: 1e4 * 2.0_f64.powi(j), curve }
        })
        .collect();
    match fit(&flat, &options(20)) {
        Err(BatchError::TooFewMinima { found: 0, levels: 8, why, .. }) => {
            assert!(why.contains("does not open upwards"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn hostile_runs_are_refused() {
    let good = runs(0.0, 0);
    let refused = |runs: &[BatchRun]| fit(runs, &options(20)).expect_err("refused");
    assert_eq!(refused(&[]), BatchError::TooFewBatches { found: 0, needed: 4 });
    assert_eq!(refused(&good[..3]), BatchError::TooFewBatches { found: 3, needed: 4 });
    for bad in [f64::NAN, 0.0, -1.0, f64::INFINITY] {
        for quantity in ["n", "batch", "tokens", "loss"] {
            let mut runs = good.clone();
            match quantity {
                "n" => runs[2].n = bad,
                "batch" => runs[2].batch = bad,
                "tokens" => runs[2].curve[7].0 = bad,
                _ => runs[2].curve[7].1 = bad,
            }
            match refused(&runs) {
                BatchError::BadRun { index: 2, quantity: named, .. } => assert_eq!(named, quantity),
                other => panic!("{other:?}"),
            }
        }
    }
    let mut back = good.clone();
    back[1].curve.swap(3, 4);
    assert!(matches!(refused(&back), BatchError::Unordered { index: 1, .. }));
    let level = BatchOptions { levels: Levels::Given { losses: vec![3.0, f64::NAN] }, ..options(20) };
    assert!(matches!(fit(&good, &level), Err(BatchError::BadLevel { .. })));
    // Curves that never reach one another's losses.
    let mut apart: Vec<BatchRun> = good[..4].to_vec();
    for (index, run) in apart.iter_mut().enumerate() {
        run.curve = (1..9).map(|k| (f64::from(k), 9.0 - 2.0 * index as f64 - 0.1 * f64::from(k))).collect();
    }
    assert!(matches!(refused(&apart), BatchError::TooFewMinima { levels: 0, .. }));
}

#[test]
fn threads_decide_nothing() {
    let noisy = runs(0.02, 3);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| fit(&noisy, &options(100)).expect("fits"))
    };
    assert_eq!(with(1), with(4));
}
