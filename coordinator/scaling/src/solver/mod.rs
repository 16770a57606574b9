//! The optimiser: variable projection to find a valley, then a bounded, damped Newton method with exact derivatives.
//!
//! The additive law is written as a log-sum-exp, log L = LSE(a - alpha x, b - beta y, e), with x = log N and y = log D
//! centred: otherwise `a` and `alpha` are so correlated that no method makes progress along their valley. The valley
//! stays nearly flat even so, and the search for it is two-dimensional: for given exponents the coefficients and L0 are
//! solved for (`projection`), and only the exponents descend. All five are free in the last descent, which uses
//! Newton's method instead of reweighted least squares because the Huber threshold is usually far below the residuals,
//! where reweighting is slow.

mod linear;
mod model;
mod projection;

use std::sync::Arc;

use crate::law::{Form, Law, Parameter, Params};
use crate::objective::Objective;
use crate::point::{Point, distinct};

pub(crate) use linear::{Matrix, damped_step};
pub(crate) use model::Local;

/// Range of an exponent. Negative ones are allowed so that a table whose loss rises shows it, instead of ending at 0.
const EXPONENT_RANGE: (f64, f64) = (-0.5, 4.0);
/// alpha_D of the Kaplan form also sets the sharpness of the corner between its terms, and divides by it.
const SHARPNESS_RANGE: (f64, f64) = (0.005, 4.0);
/// How far below the smallest loss the log of a term may sink: by then it contributes one part in 10^8.
const VANISHED: f64 = 18.0;
/// Relative projected gradient below which a point counts as a minimum.
const GRADIENT_TOLERANCE: f64 = 1e-7;
const MAX_ITERATIONS: usize = 300;
const NONE_HELD: [bool; 5] = [false; 5];

/// One measured loss, in the problem's coordinates.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Index of log N among the distinct ones, and of log D.
    size: u32,
    amount: u32,
    log_loss: f64,
    weight: f64,
}

/// A table, prepared for fitting.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    form: Form,
    rows: Vec<Row>,
    /// The distinct log N, centred: exponentials are computed once for each of them, not for each row.
    sizes: Arc<[f64]>,
    /// The distinct log D, centred.
    amounts: Arc<[f64]>,
    centre: (f64, f64),
    lower: Params,
    upper: Params,
}

/// The end of a descent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Solution {
    pub(crate) params: Params,
    pub(crate) objective: f64,
    /// Largest component of the projected gradient, relative to the sum of its summands' sizes.
    pub(crate) gradient: f64,
    pub(crate) converged: bool,
}

impl Problem {
    /// The problem of a valid table, every point with weight 1.
    pub(crate) fn new(form: Form, points: &[Point]) -> Self {
        let mean = |quantity: fn(&Point) -> f64| {
            points.iter().map(|point| quantity(point).ln()).sum::<f64>() / points.len() as f64
        };
        let centre = (mean(|point| point.n), mean(|point| point.d));
        let (sizes, amounts) = (distinct(points, |point| point.n), distinct(points, |point| point.d));
        let index = |values: &[f64], value: f64| values.partition_point(|other| *other < value) as u32;
        let rows: Vec<Row> = points
            .iter()
            .map(|point| Row {
                size: index(&sizes, point.n),
                amount: index(&amounts, point.d),
                log_loss: point.loss.ln(),
                weight: 1.0,
            })
            .collect();
        let least = rows.iter().map(|row| row.log_loss).fold(f64::INFINITY, f64::min);
        let most = rows.iter().map(|row| row.log_loss).fold(f64::NEG_INFINITY, f64::max);
        let (floor, above) = (least - VANISHED, most + 3.0);
        let ((low, high), (sharp, blunt)) = (EXPONENT_RANGE, SHARPNESS_RANGE);
        let (lower, upper) = match form {
            Form::Minicpm => ([floor, low, floor, low, floor], [above, high, above, high, most]),
            Form::Kaplan => ([floor, low, floor, sharp, 0.0], [above, high, above, blunt, 0.0]),
        };
        Self {
            form,
            rows,
            sizes: sizes.iter().map(|n| n.ln() - centre.0).collect(),
            amounts: amounts.iter().map(|d| d.ln() - centre.1).collect(),
            centre,
            lower,
            upper,
        }
    }

    /// The same table with other weights, one per point. Points without weight are left out.
    pub(crate) fn weighted(&self, weights: &[f64]) -> Self {
        debug_assert_eq!(weights.len(), self.rows.len());
        let rows = self.rows.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
        Self { rows: rows.map(|(row, &weight)| Row { weight, ..*row }).collect(), ..self.clone() }
    }

    /// The same problem without the points that are not kept.
    pub(crate) fn keeping(&self, kept: &[bool]) -> Self {
        self.weighted(&kept.iter().map(|&kept| f64::from(kept)).collect::<Vec<_>>())
    }

    /// The law in the caller's units.
    pub(crate) fn law<L: Law>(&self, params: &Params) -> L {
        debug_assert_eq!(self.form, L::FORM);
        L::of_params(params, self.centre)
    }

    /// The inverse of [`Problem::law`], clamped to the bounds.
    pub(crate) fn params<L: Law>(&self, law: &L) -> Params {
        self.clamp(law.to_params(self.centre))
    }

    /// The parameters that lie on a bound of the search.
    pub(crate) fn at_bounds(&self, params: &Params) -> Vec<Parameter> {
        use Parameter::{AlphaD, AlphaN, Beta, Dc, L0, Nc};
        let names: &[Parameter] = match self.form {
            Form::Minicpm => &[Parameter::CN, Parameter::Alpha, Parameter::CD, Beta, L0],
            Form::Kaplan => &[Nc, AlphaN, Dc, AlphaD],
        };
        let on_bound = |&i: &usize| params[i] <= self.lower[i] + 1e-6 || params[i] >= self.upper[i] - 1e-6;
        (0..names.len()).filter(on_bound).map(|i| names[i]).collect()
    }

    /// The lowest loss of the table.
    pub(crate) fn lowest(&self) -> f64 {
        self.rows.iter().map(|row| row.log_loss).fold(f64::INFINITY, f64::min).exp()
    }

    /// The best parameters near these whose floor is this one.
    pub(crate) fn at_floor(&self, near: &Params, floor: f64, objective: Objective) -> Params {
        let mut params = *near;
        params[4] = floor.ln();
        let held = [false, false, false, false, true];
        for smoother in objective.continuation() {
            params = self.newton(&params, smoother, 40, held).params;
        }
        self.newton(&params, objective, MAX_ITERATIONS, held).params
    }

    /// The objective with a threshold of about the size of the residuals, if that is larger than the objective's own.
    pub(crate) fn smoother(&self, params: &Params, objective: Objective) -> Option<Objective> {
        let Objective::Huber { delta } = objective else { return None };
        let residuals: Vec<f64> = self.residuals(params, objective).iter().map(|(residual, _)| *residual).collect();
        let freedom = (residuals.len() as f64 - 5.0).max(1.0);
        let wider = 1.345 * crate::noise::scale(&residuals, freedom);
        (wider > delta).then_some(Objective::Huber { delta: wider })
    }

    /// Where each row lies: its log N and log D, centred.
    pub(crate) fn places(&self) -> Vec<(f64, f64)> {
        self.rows.iter().map(|row| (self.sizes[row.size as usize], self.amounts[row.amount as usize])).collect()
    }

    pub(crate) fn centre(&self) -> (f64, f64) {
        self.centre
    }

    /// The parameters that a small change of the table would move: those not on a bound.
    pub(crate) fn free_at(&self, params: &Params) -> [bool; 5] {
        std::array::from_fn(|i| params[i] > self.lower[i] + 1e-6 && params[i] < self.upper[i] - 1e-6)
    }

    fn clamp(&self, params: Params) -> Params {
        std::array::from_fn(|i| params[i].clamp(self.lower[i], self.upper[i]))
    }

    /// Descends from a start: first on squares, where the objective is smooth, then on ever sharper Huber functions.
    pub(crate) fn descend(&self, start: &Params, objective: Objective) -> Solution {
        let mut params = self.clamp(*start);
        for smoother in objective.continuation() {
            params = self.projected(&params, smoother, 40);
        }
        self.newton(&params, objective, MAX_ITERATIONS, NONE_HELD)
    }

    /// Descends from a point near a minimum, as the table's solution is near those of its draws.
    pub(crate) fn descend_from_near(&self, start: &Params, objective: Objective) -> Solution {
        let mut params = self.clamp(*start);
        if let Some(smoother) = objective.continuation().pop() {
            params = self.newton(&params, smoother, 4, NONE_HELD).params;
        }
        let near = self.newton(&params, objective, MAX_ITERATIONS, NONE_HELD);
        if near.converged { near } else { self.descend(start, objective) }
    }

    /// Newton's method within bounds, with some of the parameters fixed.
    fn newton(&self, start: &Params, objective: Objective, iterations: usize, held: [bool; 5]) -> Solution {
        let mut params = *start;
        let mut damping = 1e-3;
        let mut local = self.local(&params, objective);
        for _ in 0..iterations {
            let free = self.free(&params, &local.gradient, held);
            let gradient = local.relative_gradient(&free);
            // A fit exact to rounding has neither a gradient nor a scale to compare it with.
            if gradient < GRADIENT_TOLERANCE || local.value < 1e-26 {
                return Solution { params, objective: local.value, gradient, converged: true };
            }
            let mut moved = false;
            while damping < 1e14 {
                let Some(step) = damped_step(&local, &free, [damping; 5]) else {
                    damping *= 8.0;
                    continue;
                };
                let next = self.clamp(std::array::from_fn(|i| params[i] + step[i]));
                if self.value(&next, objective) < local.value {
                    moved = next != params;
                    params = next;
                    damping = (damping / 6.0).max(1e-12);
                    break;
                }
                damping *= 4.0;
            }
            if !moved {
                // No representable step decreases the objective: this is as good as the arithmetic allows.
                let converged = gradient < 1e-4;
                return Solution { params, objective: local.value, gradient, converged };
            }
            local = self.local(&params, objective);
        }
        let gradient = local.relative_gradient(&self.free(&params, &local.gradient, held));
        Solution { params, objective: local.value, gradient, converged: false }
    }

    /// The parameters that may move: all except those held, and those on a bound that the descent would push beyond it.
    fn free(&self, params: &Params, gradient: &Params, held: [bool; 5]) -> [bool; 5] {
        std::array::from_fn(|i| {
            let pinned = (params[i] <= self.lower[i] && gradient[i] > 0.0)
                || (params[i] >= self.upper[i] && gradient[i] < 0.0)
                || self.lower[i] == self.upper[i];
            !pinned && !held[i]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{KaplanLaw, ScalingLaw};

    fn points() -> Vec<Point> {
        let law = ScalingLaw { c_n: 40.0, alpha: 0.4, c_d: 900.0, beta: 0.5, l0: 1.7 };
        let mut points = Vec::new();
        for (i, n) in [2e4, 5e4, 1e5, 2e5].into_iter().enumerate() {
            for (j, d) in [5e5, 1e6, 2e6, 4e6].into_iter().enumerate() {
                let wobble = 0.01 * ((i * 7 + j * 3) % 5) as f64 - 0.02;
                let loss = law.predict(n, d) + wobble;
                points.push(Point { size: i.to_string(), n, d, loss, trunk: i.to_string(), ..Point::default() });
            }
        }
        points
    }

    #[test]
    fn derivatives_agree_with_differences() {
        for (form, at) in [(Form::Minicpm, [-0.9, 0.45, -0.6, 0.55, 0.5]), (Form::Kaplan, [0.8, 0.1, 0.7, 0.15, 0.0])] {
            let problem = Problem::new(form, &points());
            for objective in [Objective::Huber { delta: 5e-3 }, Objective::LogLeastSquares, Objective::LeastSquares] {
                let local = problem.local(&at, objective);
                assert!((local.value / problem.value(&at, objective) - 1.0).abs() < 1e-12);
                for i in 0..5 {
                    let h = 1e-6;
                    let shifted = |by: f64| {
                        let mut params = at;
                        params[i] += by;
                        problem.local(&params, objective)
                    };
                    let (above, below) = (shifted(h), shifted(-h));
                    let slope = (above.value - below.value) / (2.0 * h);
                    let close = (slope - local.gradient[i]).abs() <= 1e-6 * slope.abs().max(1e-3);
                    assert!(close, "{form:?} {objective:?} {i}: {slope} {}", local.gradient[i]);
                    for j in 0..=i {
                        let bend = (above.gradient[j] - below.gradient[j]) / (2.0 * h);
                        let exact = local.hessian[i][j];
                        let close = (bend - exact).abs() <= 1e-4 * exact.abs().max(1e-2);
                        assert!(close, "{form:?} {objective:?} {i} {j}: {bend} {exact}");
                    }
                }
            }
        }
    }

    #[test]
    fn laws_and_params_convert_both_ways() {
        let problem = Problem::new(Form::Minicpm, &points());
        let law = ScalingLaw { c_n: 30.0, alpha: 0.3, c_d: 500.0, beta: 0.45, l0: 1.2 };
        let back: ScalingLaw = problem.law(&problem.params(&law));
        for parameter in Parameter::ALL {
            assert!((back.get(parameter) / law.get(parameter) - 1.0).abs() < 1e-12);
        }
        let problem = Problem::new(Form::Kaplan, &points());
        let law = KaplanLaw { n_c: 3e6, alpha_n: 0.1, d_c: 2e8, alpha_d: 0.2 };
        let back: KaplanLaw = problem.law(&problem.params(&law));
        for &parameter in KaplanLaw::PARAMETERS {
            assert!((back.get(parameter) / law.get(parameter) - 1.0).abs() < 1e-12);
        }
        // The solver's model is the law's prediction.
        let params = problem.params(&law);
        for (row, point) in problem.rows.iter().zip(points()) {
            let model = problem.log_prediction(&params, row);
            assert!((model - law.predict(point.n, point.d).ln()).abs() < 1e-12);
        }
    }
}
