//! Detects a pattern that the law cannot follow: residuals that depend on N and D together.
//!
//! The law adds a term in N and a term in D. If a large model is under-trained at few steps, or a small one saturates,
//! the residuals of one trunk rise with D and those of another fall, and no choice of parameters fixes that. So each
//! trunk's residuals get a slope over log D, and the test is whether these slopes depend on log N. The sample are
//! trunks, not points, because the points of a trunk share its luck.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::point::Point;
use crate::residual::Residual;

/// How the residuals' slope over log D depends on log N.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Change of the slope: nats per factor e of D and per factor e of N.
    pub coefficient: f64,
    /// The coefficient over its standard error.
    pub t: f64,
    /// Trunks with enough points to have a slope.
    pub trunks: usize,
    /// Whether so large a `t` occurs in fewer than one in twenty tables without the pattern.
    pub significant: bool,
}

/// Trunks needed for a meaningful standard error of the slopes' slope.
const MIN_TRUNKS: usize = 4;
/// Points per trunk needed for a slope with residuals.
const MIN_POINTS: usize = 3;

/// A trunk with its residuals over log D.
struct Trunk {
    log_n: f64,
    residuals: Vec<(f64, f64)>,
}

impl Interaction {
    /// `None` if there are too few trunks with several amounts of data, or too few sizes among them.
    pub(crate) fn of(points: &[Point], residuals: &[Residual]) -> Option<Self> {
        let mut trunks: BTreeMap<&str, Trunk> = BTreeMap::new();
        for (point, row) in points.iter().zip(residuals) {
            let trunk =
                trunks.entry(&point.trunk).or_insert_with(|| Trunk { log_n: point.n.ln(), residuals: Vec::new() });
            trunk.residuals.push((point.d.ln(), row.residual));
        }
        let slopes: Vec<(f64, f64)> = trunks
            .values()
            .filter(|trunk| trunk.residuals.len() >= MIN_POINTS)
            .filter_map(|trunk| Some((trunk.log_n, slope(&trunk.residuals)?.0)))
            .collect();
        if slopes.len() < MIN_TRUNKS {
            return None;
        }
        let (coefficient, error) = slope(&slopes)?;
        // Slopes that are zero to rounding, as in a table computed from a law, do not count as a pattern.
        let scale = residuals.iter().map(|row| row.loss).fold(0.0, f64::max);
        let t = if coefficient.abs() > 1e-9 * scale { coefficient / error.max(1e-12 * scale) } else { 0.0 };
        let significant = t.abs() > critical_t(slopes.len() - 2);
        Some(Self { coefficient, t, trunks: slopes.len(), significant })
    }
}

/// Slope of a least-squares line and its standard error; `None` if all x are equal.
fn slope(line: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = line.len() as f64;
    let (mean_x, mean_y) = line.iter().fold((0.0, 0.0), |(x, y), at| (x + at.0 / count, y + at.1 / count));
    let xx: f64 = line.iter().map(|at| (at.0 - mean_x).powi(2)).sum();
    if xx <= 1e-12 {
        return None;
    }
    let slope = line.iter().map(|at| (at.0 - mean_x) * (at.1 - mean_y)).sum::<f64>() / xx;
    let rest: f64 = line.iter().map(|at| (at.1 - mean_y - slope * (at.0 - mean_x)).powi(2)).sum();
    Some((slope, (rest / (count - 2.0) / xx).sqrt()))
}

/// Student's t exceeded, in either direction, in one case of twenty.
fn critical_t(freedom: usize) -> f64 {
    const TABLE: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    match freedom {
        0 => f64::INFINITY,
        1..=10 => TABLE[freedom - 1],
        // First term of Cornish and Fisher around the normal quantile: off by less than 0.01 from here on.
        _ => 1.960 + 2.372 / freedom as f64 + 2.822 / (freedom as f64).powi(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five trunks of four points, with a residual as a function of centred log N and log D, and a little noise.
    fn table(residual: impl Fn(f64, f64) -> f64) -> Option<Interaction> {
        let (mut points, mut residuals) = (Vec::new(), Vec::new());
        for i in 0..5_i32 {
            for j in 0..4_i32 {
                let (u, v) = (f64::from(i - 2), f64::from(j) - 1.5);
                let (n, d) = ((10.0 + u).exp(), (14.0 + v).exp());
                let noise = 1e-3 * f64::from((i * 5 + j * j * 3) % 7 - 3);
                let residual = residual(u, v) + noise;
                let (size, trunk) = (i.to_string(), i.to_string());
                points.push(Point { size: size.clone(), n, d, loss: 3.0, trunk: trunk.clone(), ..Point::default() });
                residuals.push(Residual {
                    size,
                    n,
                    d,
                    loss: 3.0,
                    predicted: 3.0 - residual,
                    residual,
                    trunk,
                    order: String::new(),
                });
            }
        }
        Interaction::of(&points, &residuals)
    }

    #[test]
    fn a_pattern_in_both_is_found_and_one_in_either_is_not() {
        let found = table(|u, v| 0.01 * u * v).expect("enough trunks");
        assert!(found.significant && (found.coefficient - 0.01).abs() < 2e-3, "{found:?}");
        assert!(!table(|u, v| 0.02 * v + 0.01 * u).expect("enough trunks").significant);
    }

    #[test]
    fn the_critical_value_has_no_step_where_the_table_ends() {
        assert!((critical_t(11) - 2.201).abs() < 0.01);
        assert!((critical_t(30) - 2.042).abs() < 0.01);
    }
}
