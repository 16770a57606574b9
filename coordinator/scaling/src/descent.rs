//! The optimiser of the laws with few or many parameters: minimises an objective of residuals, given their derivatives.
//!
//! It alternates two methods. Damped, reweighted Gauss-Newton steps never increase the objective and approach the
//! minimum from afar, but slow down if the Huber threshold is far below the residuals; a quasi-Newton method (BFGS),
//! started from the last Gauss-Newton matrix, then finishes.

use crate::dense::Symmetric;
use crate::objective::Objective;

/// A problem: observed minus predicted for each row, in the units of the objective.
pub(crate) trait Residuals: Sync {
    /// Bounds of the search, one pair per parameter.
    fn bounds(&self) -> &[(f64, f64)];
    /// One weight per row.
    fn weights(&self) -> &[f64];
    /// The residuals at a point.
    fn residuals(&self, params: &[f64]) -> Vec<f64>;
    /// Derivatives of the predictions by each parameter, in the units of the objective, row-major.
    fn jacobian(&self, params: &[f64]) -> Vec<f64>;
}

/// The end of a descent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Descent {
    pub(crate) params: Vec<f64>,
    pub(crate) objective: f64,
    /// Largest component of the gradient, relative to the sum of its summands' sizes.
    pub(crate) gradient: f64,
    pub(crate) converged: bool,
}

/// Relative gradient below which a point counts as a minimum.
const TOLERANCE: f64 = 1e-6;
/// Relative gradient that suffices once no representable step decreases the objective.
const TOLERANCE_AT_REST: f64 = 1e-3;
const MAX_GAUSS_NEWTON: usize = 120;
const MAX_QUASI_NEWTON: usize = 400;

/// Descends from a start: first on squares, then on ever sharper Huber functions.
pub(crate) fn descend(problem: &impl Residuals, start: &[f64], objective: Objective) -> Descent {
    let mut params = clamped(problem, start.to_vec());
    for smoother in objective.continuation() {
        params = gauss_newton(problem, params, smoother, 40).0;
    }
    let (params, ended) = gauss_newton(problem, params, objective, MAX_GAUSS_NEWTON);
    if ended { Local::at(problem, &params, objective).descent(params, true) } else { bfgs(problem, params, objective) }
}

/// Continues from the solution of a similar problem.
pub(crate) fn descend_again(problem: &impl Residuals, start: &[f64], objective: Objective) -> Descent {
    let (params, ended) = gauss_newton(problem, clamped(problem, start.to_vec()), objective, MAX_GAUSS_NEWTON);
    if ended { Local::at(problem, &params, objective).descent(params, true) } else { bfgs(problem, params, objective) }
}

/// The best of several descents, the first among equals, and how many ended within a millionth of it.
pub(crate) fn best(descents: &[Descent]) -> Option<(&Descent, usize)> {
    let converged = descents.iter().filter(|descent| descent.converged && descent.objective.is_finite());
    let best = converged.min_by(|a, b| a.objective.total_cmp(&b.objective))?;
    let close = best.objective * (1.0 + 1e-6) + 1e-24;
    Some((best, descents.iter().filter(|descent| descent.objective <= close).count()))
}

/// Value and derivatives at one point.
struct Local {
    value: f64,
    gradient: Vec<f64>,
    /// For each component of the gradient, the sum of its summands' sizes.
    size: Vec<f64>,
    /// Reweighted Gauss-Newton matrix.
    matrix: Symmetric,
    free: Vec<bool>,
}

impl Local {
    fn at(problem: &impl Residuals, params: &[f64], objective: Objective) -> Self {
        let n = params.len();
        let (residuals, jacobian) = (problem.residuals(params), problem.jacobian(params));
        let mut local = Self {
            value: 0.0,
            gradient: vec![0.0; n],
            size: vec![0.0; n],
            matrix: Symmetric::zero(n),
            free: vec![true; n],
        };
        for ((&residual, &weight), row) in residuals.iter().zip(problem.weights()).zip(jacobian.chunks_exact(n)) {
            let (penalty, influence, _) = objective.penalty(residual);
            local.value += weight * penalty;
            for (i, slope) in row.iter().enumerate() {
                local.gradient[i] -= weight * influence * slope;
                local.size[i] += (weight * influence * slope).abs();
            }
            let reweighted = if residual == 0.0 { 1.0 } else { influence / residual };
            local.matrix.add_outer(row, weight * reweighted);
        }
        for (i, &(low, high)) in problem.bounds().iter().enumerate() {
            let outward =
                (params[i] <= low && local.gradient[i] > 0.0) || (params[i] >= high && local.gradient[i] < 0.0);
            local.free[i] = !outward;
        }
        local
    }

    fn relative_gradient(&self) -> f64 {
        let largest = self.size.iter().copied().fold(0.0, f64::max);
        // A fit exact to rounding has neither a gradient nor a scale to compare it with.
        if self.value < 1e-26 || largest == 0.0 {
            return 0.0;
        }
        (0..self.gradient.len())
            .filter(|&i| self.free[i])
            .map(|i| self.gradient[i].abs() / self.size[i].max(1e-3 * largest))
            .fold(0.0, f64::max)
    }

    /// Solves `(matrix + damping * diagonal) step = -gradient` over the free parameters.
    fn step(&self, matrix: &Symmetric, damping: f64) -> Option<Vec<f64>> {
        let n = self.gradient.len();
        let floor = 1e-12 * (0..n).map(|i| matrix.get(i, i)).fold(0.0, f64::max);
        let mut damped = matrix.clone();
        let mut right = Vec::with_capacity(n);
        for i in 0..n {
            for j in 0..n {
                if !(self.free[i] && self.free[j]) {
                    damped.set(i, j, 0.0);
                }
            }
            let diagonal = matrix.get(i, i);
            damped.set(i, i, if self.free[i] { diagonal + damping * diagonal.max(floor) } else { 1.0 });
            right.push(if self.free[i] { -self.gradient[i] } else { 0.0 });
        }
        damped.solve(&right)
    }

    fn descent(&self, params: Vec<f64>, at_rest: bool) -> Descent {
        let gradient = self.relative_gradient();
        let tolerance = if at_rest { TOLERANCE_AT_REST } else { TOLERANCE };
        Descent { params, objective: self.value, gradient, converged: gradient < tolerance }
    }
}

fn value(problem: &impl Residuals, params: &[f64], objective: Objective) -> f64 {
    let residuals = problem.residuals(params);
    residuals.iter().zip(problem.weights()).map(|(residual, weight)| weight * objective.penalty(*residual).0).sum()
}

fn clamped(problem: &impl Residuals, mut params: Vec<f64>) -> Vec<f64> {
    for (param, (low, high)) in params.iter_mut().zip(problem.bounds()) {
        *param = param.clamp(*low, *high);
    }
    params
}

/// Damped, reweighted steps. Also returns whether they ended at a minimum.
fn gauss_newton(
    problem: &impl Residuals,
    mut params: Vec<f64>,
    objective: Objective,
    iterations: usize,
) -> (Vec<f64>, bool) {
    let mut damping = 1e-3;
    for _ in 0..iterations {
        let local = Local::at(problem, &params, objective);
        if local.relative_gradient() < TOLERANCE {
            return (params, true);
        }
        let mut moved = false;
        while damping < 1e12 {
            let next = local
                .step(&local.matrix, damping)
                .map(|step| clamped(problem, params.iter().zip(&step).map(|(param, change)| param + change).collect()));
            match next {
                Some(next) if value(problem, &next, objective) < local.value => {
                    moved = next != params;
                    params = next;
                    damping = (damping / 6.0).max(1e-12);
                    break;
                }
                _ => damping *= 4.0,
            }
        }
        if !moved {
            return (params, false);
        }
    }
    (params, false)
}

fn bfgs(problem: &impl Residuals, mut params: Vec<f64>, objective: Objective) -> Descent {
    let mut local = Local::at(problem, &params, objective);
    let mut matrix = local.matrix.clone();
    for _ in 0..MAX_QUASI_NEWTON {
        if local.relative_gradient() < TOLERANCE {
            return local.descent(params, false);
        }
        let slope = |step: &[f64]| local.gradient.iter().zip(step).map(|(a, b)| a * b).sum::<f64>();
        let step = match local.step(&matrix, 1e-10).filter(|step| slope(step) < 0.0) {
            Some(step) => step,
            None => {
                matrix = local.matrix.clone();
                match local.step(&matrix, 1e-3) {
                    Some(step) => step,
                    None => return local.descent(params, true),
                }
            }
        };
        let mut length = 1.0;
        let mut found = None;
        while length > 1e-14 {
            let next = clamped(problem, params.iter().zip(&step).map(|(param, s)| param + length * s).collect());
            if value(problem, &next, objective) < local.value + 1e-4 * length * slope(&step) {
                found = Some(next);
                break;
            }
            length *= 0.4;
        }
        let Some(next) = found.filter(|next| *next != params) else {
            return local.descent(params, true);
        };
        let there = Local::at(problem, &next, objective);
        let s: Vec<f64> = next.iter().zip(&params).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = there.gradient.iter().zip(&local.gradient).map(|(a, b)| a - b).collect();
        let curvature: f64 = s.iter().zip(&y).map(|(a, b)| a * b).sum();
        let along = matrix.times(&s);
        let before: f64 = along.iter().zip(&s).map(|(a, b)| a * b).sum();
        if curvature > 1e-10 * before && before > 0.0 {
            matrix.add_outer(&y, 1.0 / curvature);
            matrix.add_outer(&along, -1.0 / before);
        }
        (params, local) = (next, there);
    }
    local.descent(params, false)
}
