//! The law with derivatives, in coordinates that give its parameters similar magnitudes.
//!
//! The coordinates are log L0, log of the power's term at the mean log sum, alpha, log B at the peak rate, log C at the
//! peak rate and the mean sum, log beta, gamma. Rates are relative to the peak, so that changing gamma does not move C.

use super::LossCurve;
use super::law::{DecayTerm, MultiPowerLaw, Shape};
use super::schedule::Seen;
use crate::descent::Residuals;

pub(super) struct Problem {
    curves: Vec<Seen>,
    losses: Vec<f64>,
    weights: Vec<f64>,
    bounds: Vec<(f64, f64)>,
    shape: Shape,
    /// Mean of the logarithms of the sums.
    log_sum: f64,
    /// Logarithm of the highest peak.
    log_peak: f64,
}

impl Problem {
    pub(super) fn new(curves: &[LossCurve], shape: Shape) -> Self {
        let seen: Vec<Seen> = curves
            .iter()
            .map(|curve| curve.schedule.seen_at(&curve.points.iter().map(|point| point.0).collect::<Vec<_>>()))
            .collect();
        let losses: Vec<f64> = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1)).collect();
        let log_sum = seen.iter().flat_map(Seen::sums).map(f64::ln).sum::<f64>() / losses.len() as f64;
        let peak = curves.iter().map(|curve| curve.schedule.peak()).fold(0.0, f64::max);
        let (least, most) = losses.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), &loss| (l.min(loss), m.max(loss)));
        let mut bounds = vec![(least.ln() - 18.0, most.ln()), (least.ln() - 18.0, most.ln() + 4.0), (0.02, 6.0)];
        if shape.parameters() > 3 {
            bounds.extend([(-14.0, 3.0), (-9.0, 14.0)]);
        }
        if shape.parameters() > 5 {
            bounds.extend([(-4.0, 3.0), (-1.0, 3.0)]);
        }
        let weights = vec![1.0; losses.len()];
        Self { curves: seen, losses, weights, bounds, shape, log_sum, log_peak: peak.ln() }
    }

    pub(super) fn weighted(&self, weights: Vec<f64>) -> Self {
        let Self { curves, losses, bounds, shape, log_sum, log_peak, .. } = self;
        Self {
            curves: curves.clone(),
            losses: losses.clone(),
            weights,
            bounds: bounds.clone(),
            shape: *shape,
            log_sum: *log_sum,
            log_peak: *log_peak,
        }
    }

    pub(super) fn losses(&self) -> &[f64] {
        &self.losses
    }

    pub(super) fn seen(&self) -> &[Seen] {
        &self.curves
    }

    /// The smallest and the largest sum of learning rates.
    pub(super) fn span(&self) -> (f64, f64) {
        let sums = self.curves.iter().flat_map(Seen::sums);
        sums.fold((f64::INFINITY, 0.0), |(low, high), sum| (low.min(sum), high.max(sum)))
    }

    pub(super) fn law(&self, params: &[f64]) -> MultiPowerLaw {
        let decay = match self.shape {
            Shape::Given { decay } => decay,
            Shape::Exponents { beta, gamma } => self.decay(params[3], params[4], beta, gamma),
            Shape::Free => self.decay(params[3], params[4], params[5].exp(), params[6]),
        };
        let alpha = params[2];
        MultiPowerLaw { l0: params[0].exp(), a: (params[1] + alpha * self.log_sum).exp(), alpha, decay }
    }

    fn decay(&self, log_b: f64, log_c: f64, beta: f64, gamma: f64) -> DecayTerm {
        let c = (log_c - self.log_sum + gamma * self.log_peak).exp();
        DecayTerm { b: (log_b - self.log_peak).exp(), c, beta, gamma }
    }

    /// The inverse of [`Problem::law`].
    pub(super) fn params(&self, law: &MultiPowerLaw) -> Vec<f64> {
        let DecayTerm { b, c, beta, gamma } = law.decay;
        let mut params = vec![law.l0.max(1e-300).ln(), law.a.ln() - law.alpha * self.log_sum, law.alpha];
        if self.shape.parameters() > 3 {
            params.extend([b.max(1e-300).ln() + self.log_peak, c.ln() + self.log_sum - gamma * self.log_peak]);
        }
        if self.shape.parameters() > 5 {
            params.extend([beta.ln(), gamma]);
        }
        params
    }

    /// The parameters that lie on a bound.
    pub(super) fn at_bounds(&self, params: &[f64]) -> Vec<&'static str> {
        const NAMES: [&str; 7] = ["L0", "A", "alpha", "B", "C", "beta", "gamma"];
        let on = |i: &usize| params[*i] <= self.bounds[*i].0 + 1e-6 || params[*i] >= self.bounds[*i].1 - 1e-6;
        (0..params.len()).filter(on).map(|i| NAMES[i]).collect()
    }

    /// The drop at each point per unit of B, and its derivatives by log C, log beta and gamma, with rates relative to
    /// the peak.
    fn drops(&self, decay: &DecayTerm, mut each: impl FnMut(f64, [f64; 4])) {
        for seen in &self.curves {
            let quick = seen.quickened(decay.gamma);
            for step in &seen.steps {
                let mut drop = [0.0; 4];
                for (change, rate) in quick.before(step) {
                    let x = decay.c * rate * (step.sum - change.before);
                    let log = x.ln_1p();
                    let left = (-decay.beta * log).exp();
                    let slope = decay.beta * left * x / (1.0 + x);
                    drop[0] += change.fall * (1.0 - left);
                    drop[1] += change.fall * slope;
                    drop[2] += change.fall * decay.beta * left * log;
                    drop[3] -= change.fall * slope * (change.log_rate - self.log_peak);
                }
                each(step.sum, drop);
            }
        }
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
        let law = self.law(params);
        let mut residuals = Vec::with_capacity(self.losses.len());
        let mut losses = self.losses.iter();
        for seen in &self.curves {
            let predicted = law.predict_seen(seen);
            // All predictions below zero are equally wrong.
            residuals.extend(predicted.iter().zip(&mut losses).map(|(p, loss)| (loss / p.max(1e-6)).ln()));
        }
        residuals
    }

    fn jacobian(&self, params: &[f64]) -> Vec<f64> {
        let law = self.law(params);
        let n = self.shape.parameters();
        let mut rows = Vec::with_capacity(self.losses.len() * n);
        self.drops(&law.decay, |sum, drop| {
            let power = law.a * sum.powf(-law.alpha);
            let predicted = (law.l0 + power - law.decay.b * drop[0]).max(1e-6);
            let slopes = [
                law.l0,
                power,
                -power * (sum.ln() - self.log_sum),
                -law.decay.b * drop[0],
                -law.decay.b * drop[1],
                -law.decay.b * drop[2],
                -law.decay.b * drop[3],
            ];
            rows.extend(slopes[..n].iter().map(|slope| slope / predicted));
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multipower::Schedule;

    fn curves() -> Vec<LossCurve> {
        let rates =
            |end: f64| (0..400).map(move |k| if k < 200 { 1e-2 } else { 1e-2 * end.powf((k - 199) as f64 / 200.0) });
        [1.0, 0.1]
            .iter()
            .map(|&end| LossCurve {
                name: String::new(),
                schedule: Schedule::new(rates(end).collect(), 20).expect("rates"),
                points: (1..=10).map(|k| (40 * k, 4.0 - 0.1 * k as f64)).collect(),
            })
            .collect()
    }

    #[test]
    fn derivatives_agree_with_differences() {
        let at = [0.9, 0.1, 0.4, -1.0, 0.5, -0.5, 0.6];
        let decay = DecayTerm { b: 40.0, c: 1.5, beta: 0.6, gamma: 0.5 };
        for shape in [Shape::Free, Shape::Exponents { beta: 0.6, gamma: 0.6 }, Shape::Given { decay }] {
            let problem = Problem::new(&curves(), shape);
            let n = shape.parameters();
            let exact = problem.jacobian(&at[..n]);
            for i in 0..n {
                let shifted = |by: f64| {
                    let mut params = at[..n].to_vec();
                    params[i] += by;
                    problem.residuals(&params)
                };
                for (row, (above, below)) in shifted(1e-6).into_iter().zip(shifted(-1e-6)).enumerate() {
                    let slope = -(above - below) / 2e-6;
                    assert!((slope - exact[row * n + i]).abs() < 1e-7, "{shape:?} {i}: {slope} {}", exact[row * n + i]);
                }
            }
        }
    }

    #[test]
    fn laws_and_params_convert_both_ways() {
        let problem = Problem::new(&curves(), Shape::Free);
        let at = vec![0.9, 0.1, 0.4, -1.0, 0.5, -0.5, 0.6];
        for (back, there) in problem.params(&problem.law(&at)).iter().zip(&at) {
            assert!((back - there).abs() < 1e-12);
        }
    }
}
