//! Draws whole groups with replacement, for laws of any shape.
//!
//! What shares luck is drawn together: the points of one run. A draw is a count per group; the order of the draws is
//! the generator's, and results are collected in that order, so that threads do not matter.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::intervals::BootstrapOptions;

/// The draws behind the intervals of a law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDraws {
    /// Number of groups drawn from.
    pub groups: usize,
    /// Draws whose law counts.
    pub used: usize,
    /// Number of different draws.
    pub distinct: usize,
    /// Draws that held too little to determine a law, and were replaced.
    pub redrawn: usize,
    /// Draws to which no law could be fitted.
    pub failed: usize,
}

/// With fewer different draws, percentiles reflect the design instead of the noise.
const MIN_DISTINCT: usize = 10;
/// Replacements allowed per draw wanted; beyond that there are no intervals.
const MAX_REDRAWN_PER_DRAW: usize = 20;

/// Fits every draw. `None` if too few different draws determine a law. `strata` assigns each group a number: groups
/// with equal numbers are drawn among themselves.
pub(crate) fn refit<T: Send>(
    strata: &[usize],
    options: &BootstrapOptions,
    usable: impl Fn(&[u32]) -> bool,
    fit: impl Fn(&[u32]) -> Option<T> + Sync,
) -> Option<(Vec<T>, GroupDraws)> {
    let members: Vec<Vec<usize>> =
        strata.iter().map(|stratum| (0..strata.len()).filter(|&group| strata[group] == *stratum).collect()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let (mut draws, mut redrawn) = (Vec::with_capacity(options.draws), 0);
    while draws.len() < options.draws && redrawn <= options.draws * MAX_REDRAWN_PER_DRAW {
        let mut counts = vec![0_u32; strata.len()];
        for among in &members {
            counts[among[rng.random_range(0..among.len())]] += 1;
        }
        if usable(&counts) { draws.push(counts) } else { redrawn += 1 }
    }
    let mut different = draws.clone();
    different.sort_unstable();
    different.dedup();
    if different.len() < MIN_DISTINCT {
        return None;
    }
    let fitted: Vec<T> = draws.par_iter().map(|counts| fit(counts)).collect::<Vec<_>>().into_iter().flatten().collect();
    let counts = GroupDraws {
        groups: strata.len(),
        used: fitted.len(),
        distinct: different.len(),
        redrawn,
        failed: draws.len() - fitted.len(),
    };
    (fitted.len() >= MIN_DISTINCT).then_some((fitted, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_drawn_within_their_stratum_and_repeatably() {
        let options = BootstrapOptions { draws: 200, ..BootstrapOptions::default() };
        let strata = [0, 0, 0, 0, 0, 1, 1, 1];
        let all = |counts: &[u32]| Some(counts.to_vec());
        let (draws, counts) = refit(&strata, &options, |_| true, all).expect("enough draws");
        assert!(draws.iter().all(|draw| draw[..5].iter().sum::<u32>() == 5 && draw[5..].iter().sum::<u32>() == 3));
        assert_eq!((counts.groups, counts.used, counts.failed), (8, 200, 0));
        assert_eq!(refit(&strata, &options, |_| true, all).expect("enough draws").0, draws);
    }

    #[test]
    fn two_groups_have_too_few_different_draws() {
        let options = BootstrapOptions { draws: 200, ..BootstrapOptions::default() };
        assert!(refit(&[0, 0], &options, |_| true, |counts| Some(counts.to_vec())).is_none());
    }
}
