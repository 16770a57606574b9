//! Value and derivatives of the objective, for each form of law.

use super::{Matrix, Problem, Row};
use crate::law::{Form, Params};
use crate::objective::Objective;

/// Value and derivatives of the objective at one point.
pub(crate) struct Local {
    pub(crate) value: f64,
    pub(crate) gradient: Params,
    /// Its lower triangle.
    pub(crate) hessian: Matrix,
    /// Diagonal of the Gauss-Newton matrix without the Huber cut: a positive scale for each parameter.
    pub(crate) scale: Params,
    /// Sum of weight * |influence| over the rows, against which a negligible gradient is small.
    pub(crate) influence: f64,
}

/// The terms of a form at each distinct N and at each distinct D.
enum Terms {
    /// The terms themselves, and L0.
    Minicpm { sizes: Vec<f64>, amounts: Vec<f64>, floor: f64 },
    /// The exponents of the two terms inside the power, and the power.
    Kaplan { sizes: Vec<f64>, amounts: Vec<f64>, power: f64 },
}

/// Derivatives of a row's log L by the parameters.
struct Slopes {
    log: f64,
    first: Params,
    /// The lower triangle of the second derivatives.
    second: Matrix,
}

impl Problem {
    fn terms(&self, &[a, alpha, b, beta, e]: &Params) -> Terms {
        match self.form {
            Form::Minicpm => Terms::Minicpm {
                sizes: self.sizes.iter().map(|x| (a - alpha * x).exp()).collect(),
                amounts: self.amounts.iter().map(|y| (b - beta * y).exp()).collect(),
                floor: e.exp(),
            },
            Form::Kaplan => Terms::Kaplan {
                sizes: self.sizes.iter().map(|x| (a - alpha * x) / beta).collect(),
                amounts: self.amounts.iter().map(|y| b / beta - y).collect(),
                power: beta,
            },
        }
    }

    /// The objective alone.
    pub(crate) fn value(&self, params: &Params, objective: Objective) -> f64 {
        let terms = self.terms(params);
        let one = |row: &Row| row.weight * objective.penalty(objective.residual(row.log_loss, terms.log(row))).0;
        self.rows.iter().map(one).sum()
    }

    /// The objective with its first and second derivatives.
    pub(crate) fn local(&self, params: &Params, objective: Objective) -> Local {
        let terms = self.terms(params);
        let mut local =
            Local { value: 0.0, gradient: [0.0; 5], hessian: [[0.0; 5]; 5], scale: [0.0; 5], influence: 0.0 };
        for row in &self.rows {
            let mut slopes = self.slopes(&terms, row);
            let (penalty, influence, curvature) = objective.penalty(objective.residual(row.log_loss, slopes.log));
            if !objective.is_in_logs() {
                slopes.out_of_logs();
            }
            let Slopes { first, second, .. } = slopes;
            local.value += row.weight * penalty;
            local.influence += row.weight * influence.abs();
            for i in 0..5 {
                local.gradient[i] -= row.weight * influence * first[i];
                local.scale[i] += row.weight * first[i] * first[i];
                for j in 0..=i {
                    let entry = curvature * first[i] * first[j] - influence * second[i][j];
                    local.hessian[i][j] += row.weight * entry;
                }
            }
        }
        local
    }

    /// The residual of each row in the units of the objective, and the gradient of its prediction.
    pub(crate) fn residuals(&self, params: &Params, objective: Objective) -> Vec<(f64, Params)> {
        let terms = self.terms(params);
        let row = |row: &Row| {
            let mut slopes = self.slopes(&terms, row);
            let residual = objective.residual(row.log_loss, slopes.log);
            if !objective.is_in_logs() {
                slopes.out_of_logs();
            }
            (residual, slopes.first)
        };
        self.rows.iter().map(row).collect()
    }

    #[cfg(test)]
    pub(super) fn log_prediction(&self, params: &Params, row: &Row) -> f64 {
        self.terms(params).log(row)
    }

    fn slopes(&self, terms: &Terms, row: &Row) -> Slopes {
        let (i, j) = (row.size as usize, row.amount as usize);
        let (x, y) = (self.sizes[i], self.amounts[j]);
        match terms {
            Terms::Minicpm { sizes, amounts, floor } => {
                let (u, v) = (sizes[i], amounts[j]);
                let total = u + v + floor;
                let [s, t, r] = [u / total, v / total, floor / total];
                // Within a term's exponent the derivatives are 1 and -x; across terms, shares multiply.
                let (ss, st, tt) = (s - s * s, -s * t, t - t * t);
                let (sr, tr) = (-s * r, -t * r);
                let second = [
                    [ss, 0.0, 0.0, 0.0, 0.0],
                    [-x * ss, x * x * ss, 0.0, 0.0, 0.0],
                    [st, -x * st, tt, 0.0, 0.0],
                    [-y * st, x * y * st, -y * tt, y * y * tt, 0.0],
                    [sr, -x * sr, tr, -y * tr, r - r * r],
                ];
                Slopes { log: total.ln(), first: [s, -x * s, t, -y * t, r], second }
            }
            Terms::Kaplan { sizes, amounts, power } => {
                let (z, w) = (sizes[i], amounts[j]);
                let sum = log_sum(z, w);
                let (s, t) = ((z - sum).exp(), (w - sum).exp());
                // The derivative of z - w by each parameter: log L is convex in it, with second derivative power * s *
                // t.
                let apart = [1.0 / power, -x / power, -1.0 / power, (w + y - z) / power, 0.0];
                let bend = power * s * t;
                Slopes {
                    log: power * sum,
                    first: [s, -x * s, t, sum - s * z - t * (w + y), 0.0],
                    second: std::array::from_fn(|k| std::array::from_fn(|l| bend * apart[k] * apart[l])),
                }
            }
        }
    }
}

impl Terms {
    fn log(&self, row: &Row) -> f64 {
        let (i, j) = (row.size as usize, row.amount as usize);
        match self {
            Self::Minicpm { sizes, amounts, floor } => (sizes[i] + amounts[j] + floor).ln(),
            Self::Kaplan { sizes, amounts, power } => power * log_sum(sizes[i], amounts[j]),
        }
    }
}

impl Slopes {
    /// Converts derivatives of log L to those of L.
    fn out_of_logs(&mut self) {
        let loss = self.log.exp();
        for i in 0..5 {
            for j in 0..=i {
                self.second[i][j] = loss * (self.second[i][j] + self.first[i] * self.first[j]);
            }
        }
        self.first = self.first.map(|slope| loss * slope);
    }
}

impl Local {
    /// Largest component of the gradient among the free parameters, relative to the size of its summands.
    pub(crate) fn relative_gradient(&self, free: &[bool; 5]) -> f64 {
        let largest = (0..5).filter(|&i| free[i]).map(|i| self.gradient[i].abs()).fold(0.0, f64::max);
        if self.influence > 0.0 { largest / self.influence } else { 0.0 }
    }
}

fn log_sum(z: f64, w: f64) -> f64 {
    z.max(w) + (-(z - w).abs()).exp().ln_1p()
}
