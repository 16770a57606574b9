//! Which of several settings decide whether a trial is good.

/// Number of cells that a setting's range is divided into.
const CELLS: usize = 50;

/// Share of the trials that count as good.
const GOOD: f64 = 0.2;

/// How much each setting distinguishes the good trials from all, as shares of one: PED-ANOVA (Watanabe et al. 2023).
///
/// `places` are the trials' settings, each between 0 and 1 on the scale it was searched on, best trial first; only
/// their order counts, so that pruned and diverged trials can take part. For each setting, Pearson's divergence
/// compares the density of the good trials with that of all: where trials were dense anyway, good ones carry no
/// information. Interactions between settings are not considered.
///
/// `None` if there are too few trials, or they are all alike.
#[must_use]
pub fn importance(places: &[Vec<f64>]) -> Option<Vec<f64>> {
    let settings = places.first()?.len();
    let good = (places.len() as f64 * GOOD).ceil() as usize;
    if good < 2 || places.iter().any(|trial| trial.len() != settings) {
        return None;
    }
    let divergence = |setting: usize| {
        let column: Vec<f64> = places.iter().map(|trial| trial[setting]).collect();
        let (of_good, of_all) = (density(&column[..good]), density(&column));
        let part = |(good, all): (&f64, &f64)| all * (good / all - 1.0).powi(2);
        of_good.iter().zip(&of_all).map(part).sum::<f64>()
    };
    let divergences: Vec<f64> = (0..settings).map(divergence).collect();
    let sum: f64 = divergences.iter().sum();
    (sum > 0.0 && sum.is_finite()).then(|| divergences.into_iter().map(|each| each / sum).collect())
}

/// Probability of each cell in a density estimated from places: a normal kernel around each, with the width of Scott's
/// rule, plus a uniform one, so that no cell is empty.
fn density(places: &[f64]) -> Vec<f64> {
    let count = places.len() as f64;
    let mean = places.iter().sum::<f64>() / count;
    let deviation = (places.iter().map(|place| (place - mean).powi(2)).sum::<f64>() / count).sqrt();
    let width = (1.06 * deviation * count.powf(-0.2)).max(1.0 / CELLS as f64);
    let middle = |cell: usize| (cell as f64 + 0.5) / CELLS as f64;
    let mut cells = vec![1.0 / CELLS as f64; CELLS];
    for place in places {
        let kernel: Vec<f64> = (0..CELLS).map(|cell| (-((middle(cell) - place) / width).powi(2) / 2.0).exp()).collect();
        // Mass beyond the ends of the range counts as within it.
        let mass: f64 = kernel.iter().sum();
        cells.iter_mut().zip(kernel).for_each(|(cell, part)| *cell += part / mass);
    }
    cells.into_iter().map(|cell| cell / (count + 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Trials at random places, the best first.
    fn ranked(trials: usize, seed: u64, loss: impl Fn(&[f64]) -> f64) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut places: Vec<Vec<f64>> = (0..trials).map(|_| (0..3).map(|_| rng.random()).collect()).collect();
        places.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
        places
    }

    #[test]
    fn what_decides_is_told_from_what_does_not() {
        let loss = |at: &[f64]| 10.0 * (at[0] - 0.3).powi(2) + 3.0 * (at[1] - 0.6).powi(2);
        let mut mean = [0.0; 3];
        for seed in 0..50 {
            let found = importance(&ranked(60, seed, loss)).expect("tells something");
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(found[0] > found[2], "seed {seed}: {found:?}");
            mean.iter_mut().zip(&found).for_each(|(mean, found)| *mean += found / 50.0);
        }
        println!("in the mean {mean:?}");
        assert!(mean[0] > 2.0 * mean[1] && mean[1] > 1.3 * mean[2] && mean[2] < 0.15, "{mean:?}");
    }

    #[test]
    fn where_a_sampler_looked_is_not_taken_for_what_matters() {
        // The second setting was mostly tried at one end, by good trials and others alike.
        let biased = |seed| {
            let mut places = ranked(60, seed, |at| (at[0] - 0.3).powi(2));
            places.iter_mut().for_each(|trial| trial[1] = trial[1].powi(4));
            importance(&places).expect("tells something")
        };
        let mean = (0..50).map(|seed| biased(seed)[1]).sum::<f64>() / 50.0;
        assert!(mean < 0.15, "{mean}");
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(importance(&[]), None);
        assert_eq!(importance(&[vec![0.1], vec![0.2], vec![0.3]]), None);
        assert_eq!(importance(&vec![vec![]; 20]), None);
        let alike = importance(&vec![vec![0.5, 0.5]; 20]);
        assert!(alike.is_none_or(|parts| parts.iter().all(|part| part.is_finite())));
    }
}
