//! What training costs, as a function of N and D.

use serde::{Deserialize, Serialize};

use crate::law::Law;
use crate::optimum::Optimum;

/// The operations of training N parameters on D tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Cost {
    /// C = 6ND.
    #[default]
    SixNd,
    /// (6N + excess N^power) D: what is beyond 6ND, attention and the output layer for example, follows a power of N through
    /// the models whose operations are known. Negative if those cost less than 6N a token.
    Counted {
        /// In operations a token, at N = 1.
        excess: f64,
        /// Exponent of N.
        power: f64,
    },
}

impl Cost {
    /// The cost through models of known N and operations a token; `None` without two sizes.
    #[must_use]
    pub fn through(models: &[(f64, f64)]) -> Option<Self> {
        let beyond: Vec<(f64, f64)> = models.iter().map(|&(n, flops)| (n, flops - 6.0 * n)).collect();
        let sum: f64 = beyond.iter().map(|(n, excess)| excess / n).sum();
        let sign = if sum < 0.0 { -1.0 } else { 1.0 };
        // Where some lie above 6N and some below, the few on the other side are taken as equal to 6N.
        let logs: Vec<(f64, f64)> = beyond
            .iter()
            .filter(|(_, excess)| excess * sign > 0.0)
            .map(|(n, excess)| (n.ln(), (excess * sign).ln()))
            .collect();
        let count = logs.len() as f64;
        let (x, y) = logs.iter().fold((0.0, 0.0), |(x, y), at| (x + at.0 / count, y + at.1 / count));
        let xx: f64 = logs.iter().map(|at| (at.0 - x).powi(2)).sum();
        let power = logs.iter().map(|at| (at.0 - x) * (at.1 - y)).sum::<f64>() / xx;
        let excess = sign * (y - power * x).exp();
        (xx > 1e-12 && power.is_finite() && excess.is_finite()).then_some(Self::Counted { excess, power })
    }

    /// Operations of training N parameters on D tokens.
    #[must_use]
    pub fn flops(self, n: f64, d: f64) -> f64 {
        match self {
            Self::SixNd => 6.0 * n * d,
            // A model cannot cost less than a small part of 6ND, however far the power is extrapolated.
            Self::Counted { excess, power } => (6.0 * n + excess * n.powf(power)).max(0.6 * n) * d,
        }
    }

    /// In words, after "C".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::SixNd => "C = 6ND",
            Self::Counted { .. } => "C with attention and the output layer counted",
        }
    }

    /// The N and D with the lowest loss at a budget; `None` if no split is best.
    #[must_use]
    pub fn optimum<L: Law>(self, law: &L, flops: f64) -> Option<Optimum> {
        let start = law.optimum(flops)?;
        if self == Self::SixNd {
            return Some(start);
        }
        let tokens = |n: f64| flops / self.flops(n, 1.0);
        let loss = |log_n: f64| law.predict(log_n.exp(), tokens(log_n.exp()));
        // Golden section: the loss falls and then rises along the budget.
        let (mut low, mut high) = (start.n.ln() - 9.0, start.n.ln() + 9.0);
        let share = 0.5 * (5f64.sqrt() - 1.0);
        let (mut a, mut b) = (high - share * (high - low), low + share * (high - low));
        let (mut at_a, mut at_b) = (loss(a), loss(b));
        while high - low > 1e-9 {
            if at_a <= at_b {
                (high, b, at_b) = (b, a, at_a);
                a = high - share * (high - low);
                at_a = loss(a);
            } else {
                (low, a, at_a) = (a, b, at_b);
                b = low + share * (high - low);
                at_b = loss(b);
            }
        }
        let n = (0.5 * (low + high)).exp();
        let d = tokens(n);
        Some(Optimum { flops, n, d, tokens_per_param: d / n, loss: law.predict(n, d) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::ScalingLaw;

    const LAW: ScalingLaw = ScalingLaw { c_n: 47.2, alpha: 0.398, c_d: 947.0, beta: 0.535, l0: 1.758 };

    #[test]
    fn a_power_of_n_goes_through_what_is_known() {
        let of = |n: f64| 6.0 * n + 700.0 * n.powf(0.6);
        let cost = Cost::through(&[2e4, 5e4, 1e5, 4e5].map(|n| (n, of(n)))).expect("four sizes");
        assert!((cost.flops(2e5, 3.0) / (3.0 * of(2e5)) - 1.0).abs() < 1e-12);
        assert_eq!(Cost::through(&[(2e4, of(2e4)), (2e4, of(2e4))]), None);
        let less = Cost::through(&[2e4, 5e4, 1e5].map(|n: f64| (n, 6.0 * n - 2.0 * n.powf(0.9)))).expect("three sizes");
        assert!((less.flops(3e4, 1.0) - (6.0 * 3e4 - 2.0 * 3e4_f64.powf(0.9))).abs() < 1e-3);
    }

    #[test]
    fn the_optimum_spends_the_budget_and_no_neighbour_is_better() {
        let cost = Cost::Counted { excess: 700.0, power: 0.6 };
        for flops in [1e11, 1e13, 1e20] {
            let best = cost.optimum(&LAW, flops).expect("falls in both");
            assert!((cost.flops(best.n, best.d) / flops - 1.0).abs() < 1e-9);
            for shift in [0.8, 0.99, 1.01, 1.25] {
                let n = best.n * shift;
                assert!(LAW.predict(n, flops / cost.flops(n, 1.0)) > best.loss, "{flops} {shift}");
            }
        }
        // Small models cost more than 6N a token, so the budget buys fewer tokens and, if anything, more parameters.
        let (six, counted) = (LAW.optimum(1e11).expect("falls"), cost.optimum(&LAW, 1e11).expect("falls"));
        assert!(counted.d < six.d && counted.tokens_per_param < six.tokens_per_param);
        // Without an excess to speak of they agree.
        let same = Cost::Counted { excess: 1e-9, power: 0.5 }.optimum(&LAW, 1e13).expect("falls");
        assert!((same.n / LAW.optimum(1e13).expect("falls").n - 1.0).abs() < 1e-6);
    }
}
