//! Starts of the descents: a grid over the exponents, with everything else solved for.

use crate::law::{Form, Params};
use crate::solver::Problem;

/// Published exponents lie between 0.15 and 0.8; the last values are for tables whose data term saturates early.
const MINICPM: [f64; 6] = [0.1, 0.25, 0.4, 0.65, 1.0, 1.8];
/// Published exponents lie between 0.05 and 0.1. A small alpha_D is a sharp corner between the terms.
const KAPLAN: [f64; 6] = [0.03, 0.06, 0.1, 0.18, 0.35, 0.8];

/// The starts of a problem.
pub(crate) fn grid(form: Form, problem: &Problem) -> Vec<Params> {
    let values = match form {
        Form::Minicpm => MINICPM,
        Form::Kaplan => KAPLAN,
    };
    values.iter().flat_map(|&first| values.map(|second| problem.start(first, second))).collect()
}
