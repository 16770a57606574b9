//! Where the descents start: a grid over the exponents and L0, with the coefficients solved for.

use crate::solver::{Params, Problem};

/// Published exponents lie between 0.15 and 0.8; the last value is there for tables whose data term saturates early.
const EXPONENTS: [f64; 4] = [0.15, 0.4, 0.8, 1.5];
/// L0 as a fraction of the smallest loss.
const FLOORS: [f64; 3] = [0.3, 0.65, 0.92];

/// How many there are.
pub(crate) const COUNT: usize = EXPONENTS.len() * EXPONENTS.len() * FLOORS.len();

/// The starts of a problem.
pub(crate) fn grid(problem: &Problem) -> Vec<Params> {
    let least = problem.rows().map(|(_, _, loss)| loss).fold(f64::INFINITY, f64::min);
    let mut starts = Vec::with_capacity(COUNT);
    for alpha in EXPONENTS {
        for beta in EXPONENTS {
            for floor in FLOORS {
                let l0 = floor * least;
                let (c_n, c_d) = coefficients(problem, alpha, beta, l0);
                starts.push([c_n.ln(), alpha, c_d.ln(), beta, l0.ln()]);
            }
        }
    }
    starts
}

/// With exponents and L0 held, the law is linear in its coefficients: least squares, kept positive.
fn coefficients(problem: &Problem, alpha: f64, beta: f64, l0: f64) -> (f64, f64) {
    let [mut nn, mut nd, mut dd, mut nl, mut dl] = [0.0; 5];
    for (x, y, loss) in problem.rows() {
        let (u, v, above) = ((-alpha * x).exp(), (-beta * y).exp(), loss - l0);
        nn += u * u;
        nd += u * v;
        dd += v * v;
        nl += u * above;
        dl += v * above;
    }
    // A hundredth of what one term alone would need keeps the descent away from the flat region where a term is gone.
    let (least_n, least_d) = (0.01 * nl / nn, 0.01 * dl / dd);
    let determinant = nn * dd - nd * nd;
    if determinant <= 1e-12 * nn * dd {
        return (0.5 * nl / nn, 0.5 * dl / dd);
    }
    let (c_n, c_d) = ((nl * dd - dl * nd) / determinant, (dl * nn - nl * nd) / determinant);
    if c_n < least_n {
        (least_n, dl / dd)
    } else if c_d < least_d {
        (nl / nn, least_d)
    } else {
        (c_n, c_d)
    }
}
