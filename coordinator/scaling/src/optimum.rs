//! The best split of a compute budget between parameters and tokens.

use serde::{Deserialize, Serialize};

/// The N and D with the lowest predicted loss within a budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Optimum {
    /// Budget C, in FLOPs.
    pub flops: f64,
    /// N: non-embedding parameters.
    pub n: f64,
    /// D: tokens.
    pub d: f64,
    /// D/N.
    pub tokens_per_param: f64,
    /// Predicted loss, in nats.
    pub loss: f64,
}

#[cfg(test)]
mod tests {
    use crate::law::ScalingLaw;

    #[test]
    fn the_papers_table_comes_out() {
        // Table of section 4.5: coefficients as printed (N and D in 1e9, C in 1e18), and the D/N at C = 1e21 that
        // follows from them. The printed ratios differ by up to 7% because the printed coefficients are rounded.
        let rows = [
            ("Code", 3.32e-2, 0.37, 2.17e-1, 0.34, 0.17, 193.7, 194.93),
            ("English Wikihow", 8.08e-2, 0.26, 2.97e-1, 0.18, 0.27, 176.9, 166.04),
            ("Chinese Wikihow", 5.14e-2, 0.35, 3.90e-1, 0.18, 0.40, 879.0, 833.95),
            ("Ultratext", 7.54e-2, 0.30, 2.92e-1, 0.30, 0.25, 91.2, 95.60),
            ("Chinese Yayi", 1.53e-1, 0.19, 3.76e-1, 0.17, 0.35, 105.8, 112.79),
            ("Average", 7.15e-2, 0.29, 3.00e-1, 0.23, 0.31, 183.9, 191.87),
        ];
        for (set, c_n, alpha, c_d, beta, l0, derived, printed) in rows {
            let law = ScalingLaw { c_n, alpha, c_d, beta, l0 };
            let optimum = law.optimum(1e21 / 1e18).expect("falls in both");
            let ratio = optimum.tokens_per_param;
            assert!((ratio / derived - 1.0).abs() < 1e-3, "{set}: {ratio}");
            assert!((ratio / printed - 1.0).abs() < 0.07, "{set}: {ratio}");
        }
    }

    #[test]
    fn k_and_eta_are_the_papers() {
        let average = ScalingLaw { c_n: 7.15e-2, alpha: 0.29, c_d: 3.00e-1, beta: 0.23, l0: 0.31 };
        let (k, eta) = average.split().expect("falls in both");
        assert!((k * k - 0.01).abs() < 0.005, "K^2 = {}", k * k);
        assert!((eta - -0.10).abs() < 0.02, "eta = {eta}");
    }

    #[test]
    fn no_other_split_is_better() {
        let law = ScalingLaw { c_n: 47.2, alpha: 0.398, c_d: 947.0, beta: 0.535, l0: 1.758 };
        for flops in [1e11, 1e13, 1e20] {
            let best = law.optimum(flops).expect("falls in both");
            assert!((6.0 * best.n * best.d / flops - 1.0).abs() < 1e-12);
            for shift in [0.5, 0.9, 0.999, 1.001, 1.1, 2.0] {
                assert!(law.predict(best.n * shift, best.d / shift) > best.loss);
            }
        }
    }

    #[test]
    fn a_law_that_rises_has_no_optimum() {
        let law = ScalingLaw { c_n: 1.0, alpha: -0.1, c_d: 1.0, beta: 0.3, l0: 1.0 };
        assert_eq!(law.optimum(1e20), None);
    }
}
