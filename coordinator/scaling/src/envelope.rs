//! The minimum over training curves (approach 1 of the Chinchilla paper): the size with the lowest loss for each amount
//! of compute, C = 6ND.
//!
//! [`fit()`] takes one curve per size, makes the curves monotone, compares them at budgets evenly spaced in log C, and
//! returns the [`Frontier`]. A budget counts only if the best size there is neither the smallest nor the largest of
//! those with a loss: at an end the true best may lie beyond. N takes only the trained sizes, so the frontier is a
//! staircase; [`isoflop`](mod@crate::isoflop) is the better tool if there are points at equal budgets. Curves at a
//! constant learning rate give a frontier of un-decayed losses, which differs from that of decayed ones. Intervals
//! resample whole curves.

use serde::{Deserialize, Serialize};

use crate::frontier::{Best, Frontier, MIN_BUDGETS, lines};
use crate::intervals::BootstrapOptions;
use crate::line::PowerLine;
use crate::monotone::FallingCurve;
use crate::resample::refit;

/// The training curve of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SizeCurve {
    /// Parameter count.
    pub n: f64,
    /// Tokens seen and loss in nats, in ascending order of tokens.
    pub curve: Vec<(f64, f64)>,
}

/// How curves are compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EnvelopeOptions {
    /// Number of budgets, evenly spaced in log C over the range of the curves.
    pub budgets: usize,
    /// How curves are resampled.
    pub bootstrap: BootstrapOptions,
}

impl Default for EnvelopeOptions {
    fn default() -> Self {
        Self { budgets: 200, bootstrap: BootstrapOptions::default() }
    }
}

/// Curves that have no frontier.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// A number that is not positive and finite.
    #[error("curve {index} has {quantity} = {value}: it must be finite and above zero")]
    BadCurve {
        /// Index of the curve, from 0.
        index: usize,
        /// `n`, `tokens` or `loss`.
        quantity: &'static str,
        value: f64,
    },
    /// A curve whose tokens are not in order.
    #[error("curve {index} is not in ascending order of tokens")]
    Unordered {
        /// Index of the curve, from 0.
        index: usize,
    },
    /// Too few sizes are best at a budget without being the smallest or largest there.
    #[error(
        "{found} sizes are best at a budget that a smaller and a larger one have reached, too: a frontier needs {needed}"
    )]
    TooFewSizes {
        /// Number of such sizes.
        found: usize,
        /// Number needed.
        needed: usize,
    },
}

/// With two sizes, the staircase has a single step.
const MIN_SIZES: usize = 2;

/// Finds the best size at each budget, and the frontier.
///
/// # Errors
/// Fails if a number is not positive and finite, or too few sizes are best anywhere.
pub fn fit(curves: &[SizeCurve], options: &EnvelopeOptions) -> Result<Frontier, EnvelopeError> {
    validate(curves)?;
    let falling: Vec<(f64, FallingCurve)> =
        curves.iter().map(|size| (size.n, FallingCurve::nearest(&size.curve))).collect();
    let budgets = budgets(curves, options.budgets);
    let best = envelope(&falling, &budgets, |_| true);
    let (sizes, found) = solve(&best);
    let found = found.ok_or(EnvelopeError::TooFewSizes { found: sizes, needed: MIN_SIZES })?;
    let drawn = refit(
        &vec![0; curves.len()],
        &options.bootstrap,
        |counts| counts.iter().filter(|count| **count > 0).count() > MIN_SIZES,
        |counts| solve(&envelope(&falling, &budgets, |curve| counts[curve] > 0)).1,
    );
    Ok(Frontier::new(best, found, drawn, &options.bootstrap))
}

/// The number of sizes that are best somewhere, and the lines if they are enough.
fn solve(best: &[Best]) -> (usize, Option<[PowerLine; 2]>) {
    let mut sizes: Vec<u64> = best.iter().map(|best| best.n.to_bits()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let enough = sizes.len() >= MIN_SIZES && best.len() >= MIN_BUDGETS;
    (sizes.len(), enough.then(|| lines(best, |_| 1.0)).flatten())
}

fn envelope(curves: &[(f64, FallingCurve)], budgets: &[f64], drawn: impl Fn(usize) -> bool) -> Vec<Best> {
    let at = |flops: f64| -> Option<Best> {
        let reached: Vec<Best> = curves
            .iter()
            .enumerate()
            .filter(|(index, _)| drawn(*index))
            .filter_map(|(_, (n, curve))| {
                let d = flops / (6.0 * n);
                Some(Best { flops, n: *n, d, loss: curve.loss_at(d)? })
            })
            .collect();
        let best = *reached.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
        let between = reached.iter().any(|other| other.n < best.n) && reached.iter().any(|other| other.n > best.n);
        between.then_some(best)
    };
    budgets.iter().filter_map(|&flops| at(flops)).collect()
}

fn budgets(curves: &[SizeCurve], count: usize) -> Vec<f64> {
    let all = || curves.iter().flat_map(|size| size.curve.iter().map(|point| 6.0 * size.n * point.0));
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if high <= low {
        return Vec::new();
    }
    (0..count).map(|k| low * (high / low).powf(k as f64 / count.max(2).saturating_sub(1) as f64)).collect()
}

fn validate(curves: &[SizeCurve]) -> Result<(), EnvelopeError> {
    for (index, size) in curves.iter().enumerate() {
        let of_curve = size.curve.iter().flat_map(|&(tokens, loss)| [("tokens", tokens), ("loss", loss)]);
        for (quantity, value) in [("n", size.n)].into_iter().chain(of_curve) {
            if !(value.is_finite() && value > 0.0) {
                return Err(EnvelopeError::BadCurve { index, quantity, value });
            }
        }
        if size.curve.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(EnvelopeError::Unordered { index });
        }
    }
    Ok(())
}
