//! Variable projection: the coefficients follow from the exponents, so that the search is two-dimensional.
//!
//! For given exponents the law is linear in what remains, up to a power: the start of a descent solves for it, with no
//! coefficient below zero, by least squares of relative residuals. From there on each step of the exponents is followed by a
//! descent of the coefficients alone to their minimum, on the objective itself. At such a place the gradient by the
//! coefficients is zero, so Newton's step over all five parameters is the one of the reduced problem, whose Hessian is the
//! Schur complement; only its exponents are damped.

use super::{NONE_HELD, Problem, damped_step};
use crate::law::{EXPONENTS, Form, Params};
use crate::objective::Objective;

const EXPONENTS_HELD: [bool; 5] = [false, true, false, true, false];
/// Smallest share of a loss that a term starts with: the objective is flat in a term that has vanished.
const LEAST_SHARE: f64 = 0.01;

impl Problem {
    /// The start of a descent with these exponents.
    pub(crate) fn start(&self, first: f64, second: f64) -> Params {
        let columns = |x: f64, y: f64, log_loss: f64| match self.form {
            Form::Minicpm => [-first * x - log_loss, -second * y - log_loss, -log_loss],
            // With the power undone, the law is a sum without a constant.
            Form::Kaplan => [(-first * x - log_loss) / second, -y - log_loss / second, f64::NEG_INFINITY],
        };
        // Each row requires the terms' shares of its loss to sum to one.
        let rows: Vec<[f64; 3]> = self
            .rows
            .iter()
            .map(|row| {
                let (x, y) = (self.sizes[row.size as usize], self.amounts[row.amount as usize]);
                columns(x, y, row.log_loss)
            })
            .collect();
        // Columns are scaled to a maximum of one, which keeps their exponentials in range.
        let shift: [f64; 3] = std::array::from_fn(|k| rows.iter().map(|row| row[k]).fold(f64::NEG_INFINITY, f64::max));
        let scaled: Vec<[f64; 3]> = rows
            .iter()
            .map(|row| std::array::from_fn(|k| if shift[k].is_finite() { (row[k] - shift[k]).exp() } else { 0.0 }))
            .collect();
        let shares = non_negative(&scaled, self.rows.iter().map(|row| row.weight));
        let log: [f64; 3] = std::array::from_fn(|k| {
            let mean = scaled.iter().map(|row| row[k]).sum::<f64>() / scaled.len() as f64;
            shares[k].max(LEAST_SHARE / mean.max(1e-300)).ln() - shift[k]
        });
        self.clamp(match self.form {
            Form::Minicpm => [log[0], first, log[1], second, log[2]],
            Form::Kaplan => [second * log[0], first, second * log[1], second, 0.0],
        })
    }

    /// Descends in the exponents, with the coefficients solved for.
    pub(super) fn projected(&self, start: &Params, objective: Objective, iterations: usize) -> Params {
        let project = |params: &Params| {
            let solved = self.newton(params, objective, 50, EXPONENTS_HELD);
            (solved.params, solved.objective)
        };
        let (mut params, mut value) = project(start);
        let mut damping = 1e-3;
        for _ in 0..iterations {
            let local = self.local(&params, objective);
            let free = self.free(&params, &local.gradient, NONE_HELD);
            if local.relative_gradient(&free) < 1e-6 || value < 1e-26 {
                break;
            }
            let mut moved = false;
            while damping < 1e10 {
                let damped = std::array::from_fn(|i| if EXPONENTS.contains(&i) { damping } else { 1e-9 });
                let next = damped_step(&local, &free, damped).map(|step| {
                    let next = self.clamp(std::array::from_fn(|i| params[i] + step[i]));
                    project(&next)
                });
                match next {
                    Some((next, lower)) if lower < value => {
                        moved = (value - lower) > 1e-12 * value;
                        (params, value) = (next, lower);
                        damping = (damping / 6.0).max(1e-12);
                        break;
                    }
                    _ => damping *= 6.0,
                }
            }
            if !moved {
                break;
            }
        }
        params
    }
}

/// Least squares of sum_k c_k row_k = 1 with non-negative c_k: with three unknowns, every set of zeros is tried.
fn non_negative(rows: &[[f64; 3]], weights: impl Iterator<Item = f64>) -> [f64; 3] {
    let (mut normal, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    for (row, weight) in rows.iter().zip(weights) {
        for i in 0..3 {
            right[i] += weight * row[i];
            for j in 0..3 {
                normal[i][j] += weight * row[i] * row[j];
            }
        }
    }
    let mut best = ([0.0; 3], 0.0);
    for chosen in 1_u8..8 {
        let Some(found) = solve(&normal, &right, chosen) else { continue };
        // At a least-squares solution of the chosen ones, the sum of squares has fallen by c . right.
        let gain: f64 = (0..3).map(|k| found[k] * right[k]).sum();
        if found.iter().all(|c| *c >= 0.0) && gain > best.1 {
            best = (found, gain);
        }
    }
    best.0
}

/// Gaussian elimination over the chosen unknowns; `None` if they cannot be told apart.
fn solve(normal: &[[f64; 3]; 3], right: &[f64; 3], chosen: u8) -> Option<[f64; 3]> {
    let is_chosen = |k: usize| chosen & (1 << k) != 0;
    let (mut matrix, mut solution) = (*normal, *right);
    for k in (0..3).filter(|&k| is_chosen(k)) {
        if matrix[k][k] <= 1e-12 * normal[k][k] || normal[k][k] <= 0.0 {
            return None;
        }
        for i in (0..3).filter(|&i| is_chosen(i) && i != k) {
            let factor = matrix[i][k] / matrix[k][k];
            let pivot = matrix[k];
            matrix[i].iter_mut().zip(pivot).for_each(|(entry, above)| *entry -= factor * above);
            solution[i] -= factor * solution[k];
        }
    }
    Some(std::array::from_fn(|k| if is_chosen(k) { solution[k] / matrix[k][k] } else { 0.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::ScalingLaw;
    use crate::point::Point;

    fn problem(l0: f64) -> (Problem, ScalingLaw) {
        let law = ScalingLaw { c_n: 40.0, alpha: 0.4, c_d: 900.0, beta: 0.5, l0 };
        let mut points = Vec::new();
        for n in [2e4, 5e4, 1e5, 2e5] {
            for d in [5e5, 1e6, 2e6, 4e6] {
                let name = n.to_string();
                points.push(Point {
                    size: name.clone(),
                    n,
                    d,
                    loss: law.predict(n, d),
                    trunk: name,
                    ..Point::default()
                });
            }
        }
        (Problem::new(Form::Minicpm, &points), law)
    }

    #[test]
    fn with_the_right_exponents_the_coefficients_are_found_at_once() {
        let (problem, law) = problem(1.7);
        let found: ScalingLaw = problem.law(&problem.start(0.4, 0.5));
        for (found, law) in [(found.c_n, law.c_n), (found.c_d, law.c_d), (found.l0, law.l0)] {
            assert!((found / law - 1.0).abs() < 1e-8, "{found} {law}");
        }
    }

    #[test]
    fn no_coefficient_is_below_zero() {
        // Exponents far too small want a negative L0, and get a hundredth of the losses.
        let (problem, _) = problem(0.0);
        let found: ScalingLaw = problem.law(&problem.start(0.1, 0.1));
        assert!(found.c_n > 0.0 && found.c_d > 0.0 && found.l0 > 0.0, "{found:?}");
        assert!(found.l0 < 0.1, "{found:?}");
    }

    #[test]
    fn two_dimensions_suffice() {
        let (problem, law) = problem(1.7);
        let found: ScalingLaw =
            problem.law(&problem.projected(&problem.start(0.9, 0.2), Objective::LogLeastSquares, 60));
        assert!((found.alpha - law.alpha).abs() < 1e-4 && (found.beta - law.beta).abs() < 1e-4, "{found:?}");
    }
}
