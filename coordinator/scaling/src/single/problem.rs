//! The laws in common coordinates: y = exp(p - b t) + exp(q), with t = log x or x, centred and scaled to a range of
//! one.
//!
//! With b fixed, the law is linear in exp(p) and exp(q): the starts are least squares in those two (variable
//! projection), over a grid of the one nonlinear parameter. The descents then move all three.

use crate::descent::Residuals;
use crate::objective::Objective;
use crate::single::{Form, Observation, SingleLaw};

/// How far below the smallest y the log of the floor may sink: by then it contributes one part in 10^8.
const VANISHED: f64 = 18.0;
/// Smallest and largest fall of the power or exponential over the range of the data, as a power of e.
const FALL: (f64, f64) = (1e-3, 60.0);
const STARTS: usize = 14;

#[derive(Debug, Clone)]
pub(super) struct Problem {
    form: Form,
    in_logs: bool,
    t: Vec<f64>,
    y: Vec<f64>,
    weights: Vec<f64>,
    bounds: Vec<(f64, f64)>,
    centre: f64,
    range: f64,
}

impl Problem {
    pub(super) fn new(observations: &[Observation], form: Form, objective: Objective) -> Self {
        let raw: Vec<f64> =
            observations.iter().map(|seen| if form.is_power() { seen.x.ln() } else { seen.x }).collect();
        let (low, high) = raw.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &t| (l.min(t), h.max(t)));
        let (centre, range) = (raw.iter().sum::<f64>() / raw.len() as f64, high - low);
        let y: Vec<f64> = observations.iter().map(|seen| seen.y).collect();
        let (least, most) = y.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &y| (l.min(y), h.max(y)));
        let least_fall = if form.has_floor() { FALL.0 } else { -FALL.1 };
        let mut bounds = vec![(least.ln() - VANISHED, most.ln() + FALL.1), (least_fall, FALL.1)];
        if form.has_floor() {
            bounds.push((least.ln() - VANISHED, most.ln()));
        }
        Self {
            form,
            in_logs: objective.is_in_logs(),
            t: raw.iter().map(|t| (t - centre) / range).collect(),
            weights: vec![1.0; y.len()],
            y,
            bounds,
            centre,
            range,
        }
    }

    pub(super) fn weighted(&self, weights: Vec<f64>) -> Self {
        Self { weights, ..self.clone() }
    }

    pub(super) fn law(&self, params: &[f64]) -> SingleLaw {
        let b = params[1] / self.range;
        let a = (params[0] + b * self.centre).exp();
        SingleLaw { form: self.form, a, b, c: params.get(2).map_or(0.0, |q| q.exp()) }
    }

    /// Derivatives of log a, b and log c by the parameters, row-major, for the delta method.
    pub(super) fn chain(&self) -> Vec<Vec<f64>> {
        let mut rows = vec![vec![1.0, self.centre / self.range], vec![0.0, 1.0 / self.range]];
        if self.form.has_floor() {
            rows.iter_mut().for_each(|row| row.push(0.0));
            rows.push(vec![0.0, 0.0, 1.0]);
        }
        rows
    }

    /// Whether the floor vanished, and whether the fall ended on a bound: the data determine neither.
    pub(super) fn at_bounds(&self, params: &[f64]) -> (bool, bool) {
        let on = |i: usize| params[i] <= self.bounds[i].0 + 1e-6 || params[i] >= self.bounds[i].1 - 1e-6;
        (self.form.has_floor() && on(2), on(1))
    }

    /// One start for each fall of the grid.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        if !self.form.has_floor() {
            return vec![self.line()];
        }
        let step = |k: usize| 0.05 * (400.0_f64).powf(k as f64 / (STARTS - 1) as f64);
        (0..STARTS).map(|k| self.projected(step(k))).collect()
    }

    /// A straight line through the logarithms: nearly the answer, without a floor.
    fn line(&self) -> Vec<f64> {
        let n = self.y.len() as f64;
        let mean = self.y.iter().map(|y| y.ln()).sum::<f64>() / n;
        let (mut tt, mut ty) = (0.0, 0.0);
        for (t, y) in self.t.iter().zip(&self.y) {
            tt += t * t;
            ty += t * (y.ln() - mean);
        }
        vec![mean, -ty / tt]
    }

    /// Least squares in the coefficient and the floor, both kept positive.
    fn projected(&self, fall: f64) -> Vec<f64> {
        let n = self.y.len() as f64;
        let u: Vec<f64> = self.t.iter().map(|t| (-fall * t).exp()).collect();
        let (mean_u, mean_y) = (u.iter().sum::<f64>() / n, self.y.iter().sum::<f64>() / n);
        let (mut uu, mut uy) = (0.0, 0.0);
        for (u, y) in u.iter().zip(&self.y) {
            uu += (u - mean_u).powi(2);
            uy += (u - mean_u) * (y - mean_y);
        }
        let least = self.y.iter().copied().fold(f64::INFINITY, f64::min);
        let floor = (mean_y - uy / uu * mean_u).clamp(0.02 * least, 0.99 * least);
        let above = (mean_y - floor) / mean_u;
        vec![above.max(1e-12 * mean_y).ln(), fall, floor.ln()]
    }
}

impl Residuals for Problem {
    fn bounds(&self) -> &[(f64, f64)] {
        &self.bounds
    }

    fn weights(&self) -> &[f64] {
        &self.weights
    }

    fn residuals(&self, params: &[f64]) -> Vec<f64> {
        let floor = params.get(2).map_or(0.0, |q| q.exp());
        let pairs = self.t.iter().zip(&self.y);
        pairs
            .map(|(t, y)| {
                let predicted = (params[0] - params[1] * t).exp() + floor;
                if self.in_logs { (y / predicted).ln() } else { y - predicted }
            })
            .collect()
    }

    fn jacobian(&self, params: &[f64]) -> Vec<f64> {
        let floor = params.get(2).map(|q| q.exp());
        let mut rows = Vec::with_capacity(self.t.len() * params.len());
        for t in &self.t {
            let above = (params[0] - params[1] * t).exp();
            let scale = if self.in_logs { above + floor.unwrap_or(0.0) } else { 1.0 };
            rows.extend([above / scale, -t * above / scale]);
            rows.extend(floor.map(|floor| floor / scale));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_agree_with_differences() {
        let seen: Vec<Observation> = (1..8)
            .map(|i| Observation { x: f64::from(i * i), y: 1.0 + 3.0 / f64::from(i), group: i as usize })
            .collect();
        for form in [Form::Power, Form::PowerFloor, Form::Exponential, Form::ExponentialFloor] {
            for objective in [Objective::LogLeastSquares, Objective::LeastSquares] {
                let problem = Problem::new(&seen, form, objective);
                let at = &[0.3, 1.4, -0.2][..form.parameters()];
                let exact = problem.jacobian(at);
                for i in 0..at.len() {
                    let shifted = |by: f64| {
                        let mut params = at.to_vec();
                        params[i] += by;
                        problem.residuals(&params)
                    };
                    for (row, (above, below)) in shifted(1e-6).into_iter().zip(shifted(-1e-6)).enumerate() {
                        let slope = -(above - below) / 2e-6;
                        assert!((slope - exact[row * at.len() + i]).abs() < 1e-7, "{form} {i}");
                    }
                }
            }
        }
    }
}
