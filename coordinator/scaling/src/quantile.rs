//! Quantiles of draws, and of the two distributions that the delta method's intervals need.

use crate::intervals::Interval;

/// The central interval of values that holds a share of them, linear between ranks. `None` if there are no values.
pub(crate) fn central(mut values: Vec<f64>, level: f64) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |fraction: f64| {
        let rank = fraction * last as f64;
        let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
        below + (above - below) * rank.fract()
    };
    let tail = 0.5 * (1.0 - level.clamp(0.0, 1.0));
    Some(Interval { low: at(tail), high: at(1.0 - tail) })
}

/// Factor of a standard error for a two-sided interval of this level: Student's quantile, infinite without degrees of
/// freedom.
pub(crate) fn student(level: f64, freedom: usize) -> f64 {
    let p = 0.5 * (1.0 + level.clamp(0.0, 1.0 - 1e-12));
    let nu = freedom as f64;
    match freedom {
        0 => f64::INFINITY,
        1 => (std::f64::consts::PI * (p - 0.5)).tan(),
        2 => {
            let a = 4.0 * p * (1.0 - p);
            (2.0 * p - 1.0) * (2.0 / a).sqrt()
        }
        // Cornish and Fisher's expansion around the normal quantile: off by one part in 1000 at three degrees and 95%.
        _ => {
            let z = normal(p);
            let (z3, z5, z7, z9) = (z.powi(3), z.powi(5), z.powi(7), z.powi(9));
            z + (z3 + z) / (4.0 * nu)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * nu.powi(2))
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * nu.powi(3))
                + (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / (92160.0 * nu.powi(4))
        }
    }
}

/// The normal quantile of `p` in [0.5, 1), by bisection of its integral.
fn normal(p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 9.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if upper_half(middle) < p - 0.5 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The integral of the normal density from 0 to z, as a series of positive terms, which loses no digits.
fn upper_half(z: f64) -> f64 {
    let (mut term, mut sum, mut k) = (z, z, 1.0);
    while term > 1e-17 * sum {
        term *= z * z / (2.0 * k + 1.0);
        sum += term;
        k += 1.0;
    }
    sum * (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((normal(0.975) - 1.959_963_984_540_054).abs() < 1e-12);
        for (freedom, expected) in [(1, 12.7062), (2, 4.302_65), (3, 3.182_45), (5, 2.570_58), (30, 2.042_27)] {
            let found = student(0.95, freedom);
            assert!((found / expected - 1.0).abs() < 1.5e-3, "{freedom}: {found}");
        }
        assert_eq!(student(0.95, 0), f64::INFINITY);
    }

    #[test]
    fn a_central_interval_lies_between_ranks() {
        let interval = central((0..=100).map(f64::from).collect(), 0.5).expect("there are values");
        assert_eq!(interval, Interval { low: 25.0, high: 75.0 });
        assert_eq!(central(Vec::new(), 0.5), None);
    }
}
