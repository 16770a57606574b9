//! Resamples whole trunks and refits the law to each draw.
//!
//! The points of one trunk share the luck of its initial weights and data order: a second seed shifts all of them by
//! about the same amount. Drawing points, or residuals, as if they were independent gives intervals that are too
//! narrow; here a draw takes as many trunks as there are, with replacement and with all their points. A draw is a
//! weight per point, not a copy of rows, so each refit starts from the full table's solution on the same numbers.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fit::{Fit, FitOptions, MIN_VALUES, least_places, refit};
use crate::intervals::{BootstrapOptions, Interval, Intervals, Method, Resample};
use crate::law::{Form, Law, ScalingLaw};
use crate::point::Point;
use crate::solver::Problem;
use crate::units::Units;

/// Results of resampling a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap<L = ScalingLaw> {
    /// Percentile intervals.
    pub intervals: Intervals,
    /// What was drawn, and how many draws count.
    pub draws: Draws,
    /// Laws of the first different draws, at most [`MOST_LAWS`], for quantities that are not computed here.
    pub laws: Vec<L>,
}

/// Maximum number of laws kept.
pub const MOST_LAWS: usize = 200;

/// The draws behind intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draws {
    /// Number of trunks drawn from, or of points if those are drawn singly.
    pub trunks: usize,
    /// Draws whose law counts.
    pub used: usize,
    /// Number of different draws among them. Five trunks allow at most 126, however many draws are made.
    pub distinct: usize,
    /// Draws that held too few sizes or amounts of data to determine a law, and were replaced.
    pub redrawn: usize,
    /// Draws to which no law could be fitted.
    pub failed: usize,
}

/// The laws of all draws, each with the number of draws that gave it.
#[derive(Debug, Clone)]
pub(crate) struct Resampled<L = ScalingLaw> {
    pub(crate) draws: Draws,
    level: f64,
    laws: Vec<Drawn<L>>,
}

/// A draw and the law fitted to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn<L = ScalingLaw> {
    /// How often the draw holds each trunk, in the order of their names; or each point, if points are drawn singly.
    pub counts: Vec<u32>,
    /// How often the draw occurred.
    pub times: usize,
    /// The law fitted to it.
    pub law: L,
    /// Value of the objective, counting points as often as they were drawn.
    pub objective: f64,
}

/// All different draws of a table with their laws, for analyses beyond intervals. Empty if too few draws determine a
/// law.
#[must_use]
pub fn draws<L: Law>(
    points: &[Point],
    fit: &Fit<L>,
    fitting: &FitOptions,
    options: &BootstrapOptions,
) -> Vec<Drawn<L>> {
    let units = Units::of(points, options.resample);
    resample(points, fit, fitting, options, &units).map(|resampled| resampled.laws).unwrap_or_default()
}

/// With fewer different draws, percentiles reflect the design instead of the noise: three trunks of three sizes have a
/// single draw that determines a law, the table itself.
pub(crate) const MIN_DISTINCT: usize = 10;
/// Replacements allowed per draw wanted; beyond that there are no intervals.
const MAX_REDRAWN_PER_DRAW: usize = 20;

/// Draws trunks and refits. `None` if fewer than [`MIN_DISTINCT`] different draws determine a law.
pub(crate) fn resample<L: Law>(
    points: &[Point],
    full: &Fit<L>,
    fitting: &FitOptions,
    options: &BootstrapOptions,
    units: &Units,
) -> Option<Resampled<L>> {
    let (drawn, redrawn) = draw(L::FORM, points, units, options);
    if drawn.len() < MIN_DISTINCT {
        return None;
    }
    let problem = Problem::new(L::FORM, points);
    let start = problem.params(&full.law);
    // Equal draws have equal laws, so each is fitted once. The map's order makes the result independent of threads.
    let drawn: Vec<(Vec<u32>, usize)> = drawn.into_iter().collect();
    let laws: Vec<Drawn<L>> = drawn
        .par_iter()
        .filter_map(|(counts, times)| {
            let weights: Vec<f64> = units.members.iter().map(|&trunk| f64::from(counts[trunk])).collect();
            let weighted = problem.weighted(&weights);
            let found = refit(&weighted, &start, fitting)?;
            let (law, objective) = (weighted.law(&found.params), found.objective);
            Some(Drawn { counts: counts.clone(), times: *times, law, objective })
        })
        .collect();
    let used = laws.iter().map(|drawn| drawn.times).sum();
    let all: usize = drawn.iter().map(|(_, times)| times).sum();
    let draws = Draws { trunks: units.count, used, distinct: laws.len(), redrawn, failed: all - used };
    (laws.len() >= MIN_DISTINCT).then_some(Resampled { draws, level: options.level, laws })
}

/// The different draws, as counts per trunk, each with its number of occurrences; and the number of replaced draws.
fn draw(form: Form, points: &[Point], units: &Units, options: &BootstrapOptions) -> (BTreeMap<Vec<u32>, usize>, usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut drawn: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
    let all: Vec<usize> = (0..units.count).collect();
    let strata: Vec<&[usize]> = match options.resample {
        Resample::Seeds => units.by_size.iter().map(Vec::as_slice).collect(),
        Resample::Trunks | Resample::Points => vec![&all],
    };
    let (mut kept, mut redrawn) = (0, 0);
    while kept < options.draws && redrawn <= options.draws * MAX_REDRAWN_PER_DRAW {
        let mut counts = vec![0_u32; units.count];
        for stratum in &strata {
            for _ in 0..stratum.len() {
                counts[stratum[rng.random_range(0..stratum.len())]] += 1;
            }
        }
        if drawn.contains_key(&counts) || determines_a_law(form, points, &units.members, &counts) {
            *drawn.entry(counts).or_default() += 1;
            kept += 1;
        } else {
            redrawn += 1;
        }
    }
    (drawn, redrawn)
}

fn determines_a_law(form: Form, points: &[Point], members: &[usize], counts: &[u32]) -> bool {
    let present = || points.iter().zip(members).filter(|(_, trunk)| counts[**trunk] > 0).map(|(point, _)| point);
    let values = |bits: &dyn Fn(&Point) -> (u64, u64)| {
        let mut values: Vec<_> = present().map(bits).collect();
        values.sort_unstable();
        values.dedup();
        values.len()
    };
    values(&|point| (point.n.to_bits(), 0)) >= MIN_VALUES
        && values(&|point| (point.d.to_bits(), 0)) >= MIN_VALUES
        && values(&|point| (point.n.to_bits(), point.d.to_bits())) >= least_places(form)
}

impl<L: Law> Resampled<L> {
    /// The intervals of the parameters, and some of the laws.
    pub(crate) fn summary(&self) -> Bootstrap<L> {
        let intervals = Intervals::of(self.level, Method::Percentile, L::PARAMETERS, |parameter| {
            Some((self.interval_of(|law| Some(law.get(parameter)))?, Method::Percentile))
        });
        let laws = self.laws.iter().take(MOST_LAWS).map(|drawn| drawn.law).collect();
        Bootstrap { intervals, draws: self.draws, laws }
    }

    /// The interval of a quantity derived from a law. `None` if the quantity is undefined for so many draws that an end
    /// of the interval would fall among them.
    pub(crate) fn interval_of(&self, quantity: impl Fn(&L) -> Option<f64>) -> Option<Interval> {
        let values: Vec<(f64, usize)> =
            self.laws.iter().filter_map(|drawn| Some((quantity(&drawn.law)?, drawn.times))).collect();
        let having: usize = values.iter().map(|(_, times)| times).sum();
        let missing = (self.draws.used - having) as f64 / self.draws.used as f64;
        (missing <= 0.5 * (1.0 - self.level)).then(|| percentiles(values, self.level))
    }
}

/// The central interval of weighted values, linear between ranks.
fn percentiles(mut values: Vec<(f64, usize)>, level: f64) -> Interval {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let sorted: Vec<f64> = values.iter().flat_map(|&(value, times)| std::iter::repeat_n(value, times)).collect();
    let at = |fraction: f64| {
        let rank = fraction * (sorted.len() - 1) as f64;
        let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        below + (above - below) * rank.fract()
    };
    let tail = 0.5 * (1.0 - level.clamp(0.0, 1.0));
    Interval { low: at(tail), high: at(1.0 - tail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_between_ranks() {
        let hundred_and_one = (0..=100).map(|value| (f64::from(value), 1)).collect();
        assert_eq!(percentiles(hundred_and_one, 0.5), Interval { low: 25.0, high: 75.0 });
        assert_eq!(percentiles(vec![(1.0, 3), (0.0, 1)], 0.5), Interval { low: 0.75, high: 1.0 });
    }

    #[test]
    fn a_draw_of_two_sizes_is_made_again() {
        let point =
            |n: f64, d: f64| Point { size: n.to_string(), n, d, loss: 3.0, trunk: n.to_string(), ..Point::default() };
        let points: Vec<Point> =
            [1e4, 2e4, 4e4, 8e4, 1.6e5].into_iter().flat_map(|n| [1e6, 2e6, 4e6].map(|d| point(n, d))).collect();
        let options = BootstrapOptions { draws: 2000, ..BootstrapOptions::default() };
        let units = Units::of(&points, options.resample);
        let (drawn, redrawn) = draw(Form::Minicpm, &points, &units, &options);
        assert_eq!(drawn.values().sum::<usize>(), 2000);
        assert!(drawn.keys().all(|counts| counts.iter().filter(|count| **count > 0).count() >= 3));
        // Of 3,125 ordered draws of five, 305 hold one size or two.
        let share = redrawn as f64 / (2000 + redrawn) as f64;
        assert!((share - 305.0 / 3125.0).abs() < 0.03, "{share}");
        // 126 unordered draws of five, less the 5 of one size and the 40 of two.
        assert_eq!(drawn.len(), 81);
    }

    #[test]
    fn seeds_are_drawn_within_their_size() {
        let point = |n: f64, d: f64, seed: u32| Point {
            size: n.to_string(),
            n,
            d,
            loss: 3.0,
            trunk: format!("{n}/{seed}"),
            ..Point::default()
        };
        let mut points = Vec::new();
        for n in [1e4, 2e4, 4e4] {
            for d in [1e6, 2e6, 4e6] {
                points.extend([point(n, d, 0), point(n, d, 1)]);
            }
        }
        let options = BootstrapOptions { draws: 500, resample: Resample::Seeds, ..BootstrapOptions::default() };
        let units = Units::of(&points, options.resample);
        let (drawn, redrawn) = draw(Form::Minicpm, &points, &units, &options);
        // Of two seeds: both, the first twice or the second twice, for each of three sizes.
        assert_eq!((drawn.len(), redrawn), (27, 0));
        assert!(drawn.keys().all(|counts| counts.iter().sum::<u32>() == 6));
    }
}
