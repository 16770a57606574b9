//! The part of a loss's error that comes from the documents it is measured on.
//!
//! A loss on held-out text is a ratio, of the sum of the tokens' losses to the number of tokens, over a sample of documents.
//! The tokens of a document share its difficulty, so the documents are the sample. Other documents shift the losses of all
//! models together, because all are measured on the same ones: a difference between two models is far more certain than
//! either loss, and of a law, L0 moves most.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fit::{Fit, FitOptions, refit};
use crate::intervals::{BootstrapOptions, Interval, Intervals};
use crate::law::{Law, Parameter};
use crate::point::Point;
use crate::quantile::central;
use crate::solver::Problem;

/// What a document adds to a loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Document {
    /// Sum of the losses of its tokens.
    pub sum: f64,
    /// What it counts for: its tokens or, for losses per byte, its bytes.
    pub weight: f64,
}

/// The losses of a model on the documents of each held-out set. Its loss is the mean over the sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents(Vec<Vec<Document>>);

/// A difference between the losses of two models on the same documents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first minus the second.
    pub difference: f64,
    /// Its standard error, by document.
    pub standard_error: f64,
}

impl Difference {
    /// Whether it exceeds twice its standard error.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.difference.abs() > 2.0 * self.standard_error
    }
}

impl Documents {
    /// The documents of each set. `None` if a set has fewer than two, or an infinite loss, since their error is undefined.
    #[must_use]
    pub fn new(sets: Vec<Vec<Document>>) -> Option<Self> {
        let is_sound = |document: &Document| document.sum.is_finite() && document.weight >= 0.0;
        let counts = |set: &Vec<Document>| set.iter().filter(|document| document.weight > 0.0).count() >= 2;
        let sound = sets.iter().flatten().all(is_sound) && sets.iter().all(counts) && !sets.is_empty();
        sound.then_some(Self(sets))
    }

    /// Number of documents over all sets.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// The loss.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.mean(ratio)
    }

    /// The standard error of the loss, clustered by document.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        self.error_of(|set, at| self.0[set][at].sum)
    }

    /// The difference from the loss of another model; `None` if it was measured on other documents.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Option<Difference> {
        self.are_those_of(other).then(|| Difference {
            difference: self.loss() - other.loss(),
            standard_error: self.error_of(|set, at| self.0[set][at].sum - other.0[set][at].sum),
        })
    }

    /// The mean over models: each document has the mean of its losses. `None` without models, or if they were measured on
    /// different documents.
    #[must_use]
    pub fn mean_of(models: &[Self]) -> Option<Self> {
        let first = models.first()?;
        let of_document = |set: usize, at: usize, weight: f64| {
            let sum = models.iter().map(|model| model.0[set][at].sum).sum::<f64>() / models.len() as f64;
            Document { sum, weight }
        };
        let of_set = |(set, documents): (usize, &Vec<Document>)| {
            documents.iter().enumerate().map(|(at, document)| of_document(set, at, document.weight)).collect()
        };
        let alike = models.iter().all(|model| model.are_those_of(first));
        alike.then(|| Self(first.0.iter().enumerate().map(of_set).collect()))
    }

    /// Whether both models were measured on the same documents.
    fn are_those_of(&self, other: &Self) -> bool {
        let weights = |documents: &[Document]| documents.iter().map(|document| document.weight).collect::<Vec<_>>();
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| weights(one) == weights(other))
    }

    fn mean(&self, of: impl Fn(&[Document]) -> f64) -> f64 {
        self.0.iter().map(|set| of(set)).sum::<f64>() / self.0.len() as f64
    }

    /// The standard error of the mean over sets of the ratios of these sums to the weights: that of a ratio estimator, with
    /// the documents as independent draws.
    fn error_of(&self, sum: impl Fn(usize, usize) -> f64) -> f64 {
        let variance = |(set, documents): (usize, &Vec<Document>)| {
            let weight: f64 = documents.iter().map(|document| document.weight).sum();
            let mean = (0..documents.len()).map(|at| sum(set, at)).sum::<f64>() / weight;
            let off = |(at, document): (usize, &Document)| (sum(set, at) - mean * document.weight).powi(2);
            let count = documents.len() as f64;
            documents.iter().enumerate().map(off).sum::<f64>() * count / (count - 1.0) / (weight * weight)
        };
        let sets = self.0.len() as f64;
        (self.0.iter().enumerate().map(variance).sum::<f64>()).sqrt() / sets
    }
}

fn ratio(documents: &[Document]) -> f64 {
    let [sum, weight] =
        documents.iter().fold([0.0; 2], |[sum, weight], document| [sum + document.sum, weight + document.weight]);
    sum / weight
}

/// How far a law's parameters move with the documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentErrors {
    /// Documents drawn from.
    pub documents: usize,
    /// Draws whose law counts.
    pub draws: usize,
    /// Draws to which no law could be fitted.
    pub failed: usize,
    /// Probability of the intervals.
    pub level: f64,
    /// For each parameter, the interval from the documents alone.
    pub intervals: BTreeMap<Parameter, Interval>,
    /// For each parameter that has an interval from the runs, the interval from runs and documents together.
    pub with_runs: BTreeMap<Parameter, Interval>,
}

/// A tenth of the draws that fail would move the ends of the intervals.
const MOST_FAILED: f64 = 0.1;

/// Draws documents with replacement, the same ones for all points, and refits the law to the losses on each draw.
///
/// `documents` are those of the points, in their order. `runs` are the intervals from the luck of the runs: both errors are
/// independent, so their half-widths add as squares, of exponents directly and of everything else by its logarithm. `None` if the points were measured on different documents, or too few
/// draws have a law.
#[must_use]
pub fn resample_documents<L: Law>(
    points: &[Point],
    documents: &[&Documents],
    full: &Fit<L>,
    fitting: &FitOptions,
    options: &BootstrapOptions,
    runs: Option<&Intervals>,
) -> Option<DocumentErrors> {
    let first = documents.first()?;
    if points.len() != documents.len() || !documents.iter().all(|other| first.are_those_of(other)) {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let draws: Vec<Vec<Vec<u32>>> = (0..options.draws).map(|_| draw(first, &mut random)).collect();
    let start = Problem::new(L::FORM, points).params(&full.law);
    let laws: Vec<L> = draws
        .par_iter()
        .filter_map(|counts| {
            let drawn = |(point, documents): (&Point, &&Documents)| Point {
                loss: documents.mean_of_draw(counts),
                ..point.clone()
            };
            let table: Vec<Point> = points.iter().zip(documents).map(drawn).collect();
            let problem = Problem::new(L::FORM, &table);
            refit(&problem, &start, fitting).map(|found| problem.law(&found.params))
        })
        .collect();
    let failed = draws.len() - laws.len();
    if laws.is_empty() || failed as f64 > MOST_FAILED * draws.len() as f64 {
        return None;
    }
    let of = |parameter: Parameter| central(laws.iter().map(|law| law.get(parameter)).collect(), options.level);
    let intervals: BTreeMap<Parameter, Interval> =
        L::PARAMETERS.iter().filter_map(|&parameter| Some((parameter, of(parameter)?))).collect();
    let together = |(&parameter, &interval): (&Parameter, &Interval)| {
        Some((parameter, joined(parameter, full.law.get(parameter), [runs?.bounded(parameter)?, interval])?))
    };
    let with_runs = intervals.iter().filter_map(together).collect();
    let (documents, draws) = (first.count(), laws.len());
    Some(DocumentErrors { documents, draws, failed, level: options.level, intervals, with_runs })
}

/// The interval of a parameter with two independent errors, on the scale of the intervals of the runs: exponents are used
/// directly, everything else by its logarithm, so that it stays positive. A floor that may be zero has no logarithm: it keeps
/// zero as its lower end. `None` if an end exceeds the range of a double.
fn joined(parameter: Parameter, value: f64, intervals: [Interval; 2]) -> Option<Interval> {
    if parameter.is_exponent() {
        return beside(value, intervals);
    }
    if value > 0.0 && intervals.iter().all(|interval| interval.low > 0.0) {
        let logs = intervals.map(|Interval { low, high }| Interval { low: low.ln(), high: high.ln() });
        return beside(value.ln(), logs)?.out_of_logs();
    }
    beside(value, intervals).map(|interval| Interval { low: 0.0, ..interval })
}

/// The interval of a value with two independent errors, whose half-widths on either side add as squares. `None` if one of
/// the intervals is unbounded.
fn beside(value: f64, intervals: [Interval; 2]) -> Option<Interval> {
    let side = |end: fn(&Interval) -> f64| {
        let widths = intervals.each_ref().map(|interval| end(interval) - value);
        widths[0].hypot(widths[1])
    };
    let (below, above) = (side(|interval| interval.low), side(|interval| interval.high));
    (below.is_finite() && above.is_finite()).then_some(Interval { low: value - below, high: value + above })
}

/// How often a draw holds each document, set by set.
fn draw(documents: &Documents, random: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let of_set = |set: &Vec<Document>| {
        let mut counts = vec![0; set.len()];
        for _ in 0..set.len() {
            counts[random.random_range(0..set.len())] += 1;
        }
        counts
    };
    documents.0.iter().map(of_set).collect()
}

impl Documents {
    /// The loss on a draw.
    fn mean_of_draw(&self, counts: &[Vec<u32>]) -> f64 {
        let of_set = |(set, counts): (&Vec<Document>, &Vec<u32>)| {
            let add = |[sum, weight]: [f64; 2], (document, count): (&Document, &u32)| {
                [sum + f64::from(*count) * document.sum, weight + f64::from(*count) * document.weight]
            };
            let [sum, weight] = set.iter().zip(counts).fold([0.0; 2], add);
            sum / weight
        };
        self.0.iter().zip(counts).map(of_set).sum::<f64>() / self.0.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_stay_positive_and_exponents_do_not_change_scale() {
        let [runs, documents] = [Interval { low: 9.47, high: 94_700.0 }, Interval { low: 94.7, high: 9470.0 }];
        let both = joined(Parameter::CD, 947.0, [runs, documents]).expect("both are bounded");
        let factor = 10f64.powf(5f64.sqrt());
        assert!((both.low * factor / 947.0 - 1.0).abs() < 1e-9 && (both.high / factor / 947.0 - 1.0).abs() < 1e-9);
        let alone = Interval { low: 947.0, high: 947.0 };
        let same = joined(Parameter::CD, 947.0, [runs, alone]).expect("both are bounded");
        assert!((same.low / runs.low - 1.0).abs() < 1e-9 && (same.high / runs.high - 1.0).abs() < 1e-9);
        let exponents = [Interval { low: 0.37, high: 0.43 }, Interval { low: 0.36, high: 0.44 }];
        let both = joined(Parameter::Beta, 0.4, exponents).expect("both are bounded");
        assert!((both.low - 0.35).abs() < 1e-9 && (both.high - 0.45).abs() < 1e-9);
    }

    #[test]
    fn a_floor_that_may_be_zero_begins_there() {
        let [runs, documents] = [Interval { low: 0.0, high: 0.5 }, Interval { low: 0.06, high: 0.5 }];
        let both = joined(Parameter::L0, 0.1, [runs, documents]).expect("both are bounded");
        assert_eq!(both.low, 0.0);
        assert!((both.high - 0.1 - 0.4 * 2f64.sqrt()).abs() < 1e-9);
    }
}
