//! Starts of the descents: a grid over the nonlinear parameters, with the rest solved for.
//!
//! With alpha, C, beta and gamma fixed, the law is linear in L0, A and B. The descents start at the grid points with
//! the best least-squares fit in those three.

use super::law::{DecayTerm, MultiPowerLaw, Shape};
use super::problem::Problem;
use super::schedule::Seen;
use crate::dense::Symmetric;

const ALPHAS: [f64; 4] = [0.2, 0.4, 0.7, 1.2];
/// C times the peak rate to the power -gamma times the mean sum of rates: how far a change has taken effect by then.
const PACES: [f64; 4] = [0.3, 3.0, 30.0, 300.0];
const BETAS: [f64; 2] = [0.4, 0.9];
const GAMMAS: [f64; 2] = [0.2, 0.7];
const COUNT: usize = 8;

pub(super) fn best(problem: &Problem, shape: Shape, peak: f64) -> Vec<Vec<f64>> {
    let mean_sum = {
        let (low, high) = problem.span();
        (low * high).sqrt()
    };
    let decays: Vec<DecayTerm> = match shape {
        Shape::Given { decay } => vec![decay],
        Shape::Exponents { beta, gamma } => {
            PACES.iter().map(|pace| at_pace(*pace, beta, gamma, peak, mean_sum)).collect()
        }
        Shape::Free => PACES
            .iter()
            .flat_map(|pace| BETAS.map(|beta| (*pace, beta)))
            .flat_map(|(pace, beta)| GAMMAS.map(|gamma| at_pace(pace, beta, gamma, peak, mean_sum)))
            .collect(),
    };
    let mut starts: Vec<(f64, MultiPowerLaw)> = decays
        .iter()
        .flat_map(|decay| ALPHAS.map(|alpha| (alpha, *decay)))
        .filter_map(|(alpha, decay)| linear(problem, alpha, decay, shape))
        .collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    starts.truncate(COUNT);
    starts.iter().map(|(_, law)| problem.params(law)).collect()
}

fn at_pace(pace: f64, beta: f64, gamma: f64, peak: f64, mean_sum: f64) -> DecayTerm {
    DecayTerm { b: 1.0 / peak, c: pace * peak.powf(gamma) / mean_sum, beta, gamma }
}

/// Least squares in L0, A and B, kept positive; and the remaining error.
fn linear(problem: &Problem, alpha: f64, decay: DecayTerm, shape: Shape) -> Option<(f64, MultiPowerLaw)> {
    let given = matches!(shape, Shape::Given { .. });
    // The law without its first two terms is minus the drop.
    let bare = MultiPowerLaw { l0: 0.0, a: 0.0, alpha, decay };
    let drops: Vec<f64> = problem.seen().iter().flat_map(|seen| bare.predict_seen(seen)).collect();
    let powers: Vec<f64> = problem.seen().iter().flat_map(Seen::sums).map(|sum| sum.powf(-alpha)).collect();
    let n = if given { 2 } else { 3 };
    let mut matrix = Symmetric::zero(n);
    let mut right = vec![0.0; n];
    for ((drop, power), loss) in drops.iter().zip(&powers).zip(problem.losses()) {
        let row = [1.0, *power, *drop];
        matrix.add_outer(&row[..n], 1.0);
        let loss = if given { loss - drop } else { *loss };
        right.iter_mut().zip(row).for_each(|(right, entry)| *right += entry * loss);
    }
    let solved = matrix.solve(&right)?;
    let least = problem.losses().iter().copied().fold(f64::INFINITY, f64::min);
    let l0 = solved[0].clamp(0.05 * least, 0.995 * least);
    let a = solved[1].max(1e-3 * least / powers.iter().copied().fold(0.0, f64::max));
    let share = solved.get(2).copied().unwrap_or(1.0).max(1e-3);
    let law =
        MultiPowerLaw { l0, a, alpha, decay: DecayTerm { b: if given { decay.b } else { decay.b * share }, ..decay } };
    let left = drops.iter().zip(&powers).zip(problem.losses());
    let left = left.map(|((drop, power), loss)| (loss - l0 - a * power - share * drop).powi(2)).sum();
    Some((left, law))
}
