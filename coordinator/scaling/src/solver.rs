//! The optimiser: a bounded, damped Newton method on five parameters, with exact derivatives.
//!
//! The law is written as a log-sum-exp, log L = LSE(a - alpha x, b - beta y, e), with x = log N and y = log D moved to
//! mean zero: uncentred, `a` and `alpha` are so correlated that no method makes progress along their valley. Newton's
//! method rather than a first-order one because that valley stays nearly flat even then, and rather than reweighted
//! least squares because the Huber threshold is usually far below the residuals, where reweighting creeps.

use crate::fit::Objective;
use crate::law::{Parameter, ScalingLaw};
use crate::point::Point;

/// a, alpha, b, beta, e of the centred problem.
pub(crate) type Params = [f64; 5];
type Matrix = [[f64; 5]; 5];

/// Range of both exponents. A negative one is allowed so that a table whose loss rises says so, instead of sticking at 0.
const EXPONENTS: (f64, f64) = (-0.5, 4.0);
/// How far below the smallest loss the log of a term may sink: by then it contributes one part in 10^8.
const VANISHED: f64 = 18.0;
/// Relative projected gradient below which a point counts as a minimum.
const GRADIENT_TOLERANCE: f64 = 1e-7;
const MAX_ITERATIONS: usize = 300;

/// One measured loss, in the coordinates of the problem.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// log N, centred.
    x: f64,
    /// log D, centred.
    y: f64,
    loss: f64,
    weight: f64,
}

/// A table ready to be fitted.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    rows: Vec<Row>,
    centre: (f64, f64),
    lower: Params,
    upper: Params,
}

/// Where a descent ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Solution {
    pub(crate) params: Params,
    pub(crate) objective: f64,
    /// Largest component of the projected gradient, relative to the sum of the sizes of its summands.
    pub(crate) gradient: f64,
    pub(crate) converged: bool,
}

/// Value and derivatives of the objective at one place.
struct Local {
    value: f64,
    gradient: Params,
    hessian: Matrix,
    /// Diagonal of the Gauss-Newton matrix without the Huber cut: a positive scale for each parameter.
    scale: Params,
    /// Sum of weight * |influence| over the rows: the size that a gradient of no significance is small against.
    influence: f64,
}

impl Problem {
    /// The problem of a valid table, every point with weight 1.
    pub(crate) fn new(points: &[Point]) -> Self {
        let mean = |quantity: fn(&Point) -> f64| {
            points.iter().map(|point| quantity(point).ln()).sum::<f64>() / points.len() as f64
        };
        let centre = (mean(|point| point.n), mean(|point| point.d));
        let rows: Vec<Row> = points
            .iter()
            .map(|point| Row { x: point.n.ln() - centre.0, y: point.d.ln() - centre.1, loss: point.loss, weight: 1.0 })
            .collect();
        let least = rows.iter().map(|row| row.loss).fold(f64::INFINITY, f64::min).ln();
        let most = rows.iter().map(|row| row.loss).fold(0.0, f64::max).ln();
        let floor = least - VANISHED;
        Self {
            rows,
            centre,
            lower: [floor, EXPONENTS.0, floor, EXPONENTS.0, floor],
            upper: [most + 3.0, EXPONENTS.1, most + 3.0, EXPONENTS.1, most],
        }
    }

    /// The same table with other weights, one for each point.
    pub(crate) fn weighted(&self, weights: &[f64]) -> Self {
        debug_assert_eq!(weights.len(), self.rows.len());
        let rows = self.rows.iter().zip(weights).map(|(row, &weight)| Row { weight, ..*row }).collect();
        Self { rows, ..self.clone() }
    }

    /// The law in the caller's units.
    pub(crate) fn law(&self, &[a, alpha, b, beta, e]: &Params) -> ScalingLaw {
        let (x, y) = self.centre;
        ScalingLaw { c_n: (a + alpha * x).exp(), alpha, c_d: (b + beta * y).exp(), beta, l0: e.exp() }
    }

    /// The inverse of [`Problem::law`], brought inside the bounds.
    pub(crate) fn params(&self, law: &ScalingLaw) -> Params {
        let (x, y) = self.centre;
        let raw =
            [law.c_n.ln() - law.alpha * x, law.alpha, law.c_d.ln() - law.beta * y, law.beta, law.l0.max(1e-300).ln()];
        self.clamp(raw)
    }

    /// The measured losses and their centred coordinates: (x, y, loss).
    pub(crate) fn rows(&self) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
        self.rows.iter().map(|row| (row.x, row.y, row.loss))
    }

    /// Which parameters lie on a bound of the search.
    pub(crate) fn at_bounds(&self, params: &Params) -> Vec<Parameter> {
        const NAMES: [Parameter; 5] = [Parameter::CN, Parameter::Alpha, Parameter::CD, Parameter::Beta, Parameter::L0];
        let on_bound = |&i: &usize| params[i] <= self.lower[i] + 1e-6 || params[i] >= self.upper[i] - 1e-6;
        (0..5).filter(on_bound).map(|i| NAMES[i]).collect()
    }

    fn clamp(&self, params: Params) -> Params {
        std::array::from_fn(|i| params[i].clamp(self.lower[i], self.upper[i]))
    }

    /// The objective alone.
    pub(crate) fn value(&self, params: &Params, objective: Objective) -> f64 {
        self.rows
            .iter()
            .map(|row| {
                let total: f64 = terms(row, params).iter().sum();
                row.weight * objective.penalty(objective.residual(row.loss, total)).0
            })
            .sum()
    }

    fn local(&self, params: &Params, objective: Objective) -> Local {
        let mut local =
            Local { value: 0.0, gradient: [0.0; 5], hessian: [[0.0; 5]; 5], scale: [0.0; 5], influence: 0.0 };
        for row in &self.rows {
            let terms = terms(row, params);
            let total: f64 = terms.iter().sum();
            let (penalty, influence, curvature) = objective.penalty(objective.residual(row.loss, total));
            // The model's first and second derivatives by the three exponents; `slope` is of log L or of L.
            let in_logs = objective.is_in_logs();
            let slope = if in_logs { terms.map(|term| term / total) } else { terms };
            // d(exponent k)/d(parameter i): exponent 0 is a - alpha x, 1 is b - beta y, 2 is e.
            let chain: [(usize, f64); 5] = [(0, 1.0), (0, -row.x), (1, 1.0), (1, -row.y), (2, 1.0)];
            local.value += row.weight * penalty;
            local.influence += row.weight * influence.abs();
            for (i, &(k, outer)) in chain.iter().enumerate() {
                let first = slope[k] * outer;
                local.gradient[i] -= row.weight * influence * first;
                local.scale[i] += row.weight * first * first;
                for (j, &(l, inner)) in chain.iter().enumerate().take(i + 1) {
                    let diagonal = if k == l { slope[k] } else { 0.0 };
                    let cross = if in_logs { slope[k] * slope[l] } else { 0.0 };
                    let model = (diagonal - cross) * outer * inner;
                    let entry = curvature * first * slope[l] * inner - influence * model;
                    local.hessian[i][j] += row.weight * entry;
                }
            }
        }
        local
    }

    /// Descends from a start: first on squares, where the way is smooth, then on ever sharper Huber functions.
    pub(crate) fn descend(&self, start: &Params, objective: Objective) -> Solution {
        let mut params = self.clamp(*start);
        for smoother in objective.continuation() {
            params = self.newton(&params, smoother, 60).params;
        }
        self.newton(&params, objective, MAX_ITERATIONS)
    }

    fn newton(&self, start: &Params, objective: Objective, iterations: usize) -> Solution {
        let mut params = *start;
        let mut damping = 1e-3;
        let mut local = self.local(&params, objective);
        for _ in 0..iterations {
            let free = self.free(&params, &local.gradient);
            let gradient = relative_gradient(&local, &free);
            // A fit exact to rounding has neither a gradient nor a scale to compare it with.
            if gradient < GRADIENT_TOLERANCE || local.value < 1e-26 {
                return Solution { params, objective: local.value, gradient, converged: true };
            }
            let mut moved = false;
            while damping < 1e14 {
                let Some(step) = damped_step(&local, &free, damping) else {
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
                // No representable step goes down: as good as the arithmetic allows.
                let converged = gradient < 1e-4;
                return Solution { params, objective: local.value, gradient, converged };
            }
            local = self.local(&params, objective);
        }
        let gradient = relative_gradient(&local, &self.free(&params, &local.gradient));
        Solution { params, objective: local.value, gradient, converged: false }
    }

    /// Which parameters may move: all but those on a bound that the descent direction would push beyond it.
    fn free(&self, params: &Params, gradient: &Params) -> [bool; 5] {
        std::array::from_fn(|i| {
            let pinned =
                (params[i] <= self.lower[i] && gradient[i] > 0.0) || (params[i] >= self.upper[i] && gradient[i] < 0.0);
            !pinned
        })
    }
}

/// The three terms of the law at a row: model, data, irreducible.
fn terms(row: &Row, &[a, alpha, b, beta, e]: &Params) -> [f64; 3] {
    [(a - alpha * row.x).exp(), (b - beta * row.y).exp(), e.exp()]
}

fn relative_gradient(local: &Local, free: &[bool; 5]) -> f64 {
    let largest = (0..5).filter(|&i| free[i]).map(|i| local.gradient[i].abs()).fold(0.0, f64::max);
    if local.influence > 0.0 { largest / local.influence } else { 0.0 }
}

/// Solves (H + damping * scale) step = -gradient over the free parameters; `None` where that is not positive definite.
fn damped_step(local: &Local, free: &[bool; 5], damping: f64) -> Option<Params> {
    let mut lower: Matrix = [[0.0; 5]; 5];
    let floor = 1e-12 * local.scale.iter().copied().fold(0.0, f64::max);
    for i in 0..5 {
        for j in 0..=i {
            let entry = match (i == j, free[i] && free[j]) {
                (true, true) => local.hessian[i][i] + damping * local.scale[i].max(floor),
                (true, false) => 1.0,
                (false, true) => local.hessian[i][j],
                (false, false) => 0.0,
            };
            let rest = entry - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            if i == j {
                if rest <= 1e-14 * entry.abs() || !rest.is_finite() {
                    return None;
                }
                lower[i][i] = rest.sqrt();
            } else {
                lower[i][j] = rest / lower[j][j];
            }
        }
    }
    let mut step = [0.0; 5];
    for i in 0..5 {
        let right = if free[i] { -local.gradient[i] } else { 0.0 };
        step[i] = (right - (0..i).map(|k| lower[i][k] * step[k]).sum::<f64>()) / lower[i][i];
    }
    for i in (0..5).rev() {
        step[i] = (step[i] - (i + 1..5).map(|k| lower[k][i] * step[k]).sum::<f64>()) / lower[i][i];
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        let law = ScalingLaw { c_n: 40.0, alpha: 0.4, c_d: 900.0, beta: 0.5, l0: 1.7 };
        let mut points = Vec::new();
        for (i, n) in [2e4, 5e4, 1e5, 2e5].into_iter().enumerate() {
            for (j, d) in [5e5, 1e6, 2e6, 4e6].into_iter().enumerate() {
                let wobble = 0.01 * ((i * 7 + j * 3) % 5) as f64 - 0.02;
                points.push(Point {
                    size: i.to_string(),
                    n,
                    d,
                    loss: law.predict(n, d) + wobble,
                    trunk: i.to_string(),
                });
            }
        }
        Problem::new(&points)
    }

    #[test]
    fn derivatives_agree_with_differences() {
        let problem = problem();
        let at = [-0.9, 0.45, -0.6, 0.55, 0.5];
        for objective in [Objective::Huber { delta: 5e-3 }, Objective::LogLeastSquares, Objective::LeastSquares] {
            let local = problem.local(&at, objective);
            for i in 0..5 {
                let h = 1e-6;
                let shifted = |by: f64| {
                    let mut params = at;
                    params[i] += by;
                    problem.local(&params, objective)
                };
                let (above, below) = (shifted(h), shifted(-h));
                let slope = (above.value - below.value) / (2.0 * h);
                assert!((slope - local.gradient[i]).abs() <= 1e-6 * slope.abs().max(1e-3), "{objective:?} {i}");
                for j in 0..=i {
                    let bend = (above.gradient[j] - below.gradient[j]) / (2.0 * h);
                    let exact = local.hessian[i][j];
                    assert!(
                        (bend - exact).abs() <= 1e-4 * exact.abs().max(1e-2),
                        "{objective:?} {i} {j}: {bend} {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn laws_and_params_convert_both_ways() {
        let problem = problem();
        let law = ScalingLaw { c_n: 30.0, alpha: 0.3, c_d: 500.0, beta: 0.45, l0: 1.2 };
        let back = problem.law(&problem.params(&law));
        for parameter in Parameter::ALL {
            assert!((back.get(parameter) / law.get(parameter) - 1.0).abs() < 1e-12);
        }
    }
}
