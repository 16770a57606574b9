//! Finds patterns in residuals, along the amounts of data and along sizes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clustered::t_quantile;
use crate::point::Point;
use crate::residual::Residual;

/// The residuals at one N, or at one D.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// N or D.
    pub at: f64,
    /// Number of points.
    pub points: usize,
    /// Mean of measured minus predicted, in nats.
    pub mean: f64,
    /// The mean over its standard error, with trunks as the sample; `None` if there are too few.
    pub t: Option<f64>,
    /// Whether so large a `t` occurs anywhere along the axis in fewer than one in twenty tables without a pattern.
    pub significant: bool,
}

/// Residuals along both axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Patterns {
    /// At each N, ascending.
    pub by_n: Vec<Group>,
    /// At each D, ascending. Trunks' mean residuals are subtracted before testing, so that their luck does not count as
    /// a pattern along D.
    pub by_d: Vec<Group>,
}

/// Trunks needed at a place for a meaningful standard error of the mean.
const MIN_TRUNKS: usize = 4;

impl Patterns {
    pub(crate) fn of(points: &[Point], residuals: &[Residual]) -> Self {
        let mut trunks: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (point, row) in points.iter().zip(residuals) {
            let sum = trunks.entry(&point.trunk).or_default();
            sum.0 += row.residual;
            sum.1 += 1.0;
        }
        // A trunk of one point has no residual apart from its mean.
        let beside_luck = |point: &Point, row: &Residual| {
            let (sum, count) = trunks[point.trunk.as_str()];
            (count > 1.0).then(|| row.residual - sum / count)
        };
        Self {
            by_n: groups(points, residuals, |row| row.n, |_, row| Some(row.residual)),
            by_d: groups(points, residuals, |row| row.d, beside_luck),
        }
    }

    /// The places with a pattern, along N and along D.
    #[must_use]
    pub fn significant(&self) -> [(&'static str, Vec<Group>); 2] {
        let of = |groups: &[Group]| groups.iter().filter(|group| group.significant).copied().collect();
        [("N", of(&self.by_n)), ("D", of(&self.by_d))]
    }
}

/// A point with its remaining residual.
type Row<'a> = (&'a Point, &'a Residual);

fn groups(
    points: &[Point],
    residuals: &[Residual],
    at: fn(&Residual) -> f64,
    tested: impl Fn(&Point, &Residual) -> Option<f64>,
) -> Vec<Group> {
    let mut rows: Vec<Row<'_>> = points.iter().zip(residuals).collect();
    rows.sort_by(|a, b| at(a.1).total_cmp(&at(b.1)));
    let places: Vec<&[Row<'_>]> = rows.chunk_by(|a, b| at(a.1) == at(b.1)).collect();
    let scale = residuals.iter().map(|row| row.loss).fold(0.0, f64::max);
    let test = |place: &[Row<'_>]| {
        let mut means: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (point, row) in place {
            if let Some(value) = tested(point, row) {
                let sum = means.entry(&point.trunk).or_default();
                sum.0 += value;
                sum.1 += 1.0;
            }
        }
        let means: Vec<f64> = means.values().map(|(sum, count)| sum / count).collect();
        if means.len() < MIN_TRUNKS {
            return None;
        }
        let count = means.len() as f64;
        let mean = means.iter().sum::<f64>() / count;
        let variance = means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // Zero to rounding does not count as a pattern.
        let error = (variance / count).sqrt().max(1e-9 * scale);
        Some((mean / error, count - 1.0))
    };
    let tests: Vec<Option<(f64, f64)>> = places.iter().map(|place| test(place)).collect();
    let tried = tests.iter().flatten().count().max(1) as f64;
    let group = |(place, test): (&&[Row<'_>], Option<(f64, f64)>)| Group {
        at: at(place[0].1),
        points: place.len(),
        mean: place.iter().map(|(_, row)| row.residual).sum::<f64>() / place.len() as f64,
        t: test.map(|(t, _)| t),
        // Bonferroni: there are as many tests as places.
        significant: test
            .is_some_and(|(t, freedom)| t_quantile(freedom, 1.0 - 0.05 / tried).is_some_and(|most| t.abs() > most)),
    };
    places.iter().zip(tests).map(group).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn table(residual: impl Fn(usize, usize) -> f64) -> (Vec<Point>, Vec<Residual>) {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (mut points, mut residuals) = (Vec::new(), Vec::new());
        for i in 0..6 {
            for j in 0..5 {
                let (n, d) = (1e4 * f64::powi(2.0, i as i32), 1e6 * f64::powi(2.0, j as i32));
                let noise = rng.random_range(-3e-3..3e-3);
                let residual = residual(i, j) + noise;
                let size = i.to_string();
                points.push(Point { size: size.clone(), n, d, loss: 3.0, trunk: size.clone(), ..Point::default() });
                residuals.push(Residual {
                    size: size.clone(),
                    n,
                    d,
                    loss: 3.0,
                    predicted: 3.0 - residual,
                    residual,
                    trunk: size,
                    order: String::new(),
                });
            }
        }
        (points, residuals)
    }

    #[test]
    fn an_amount_of_data_that_is_always_off_is_found() {
        let (points, residuals) = table(|_, j| if j == 4 { 0.02 } else { 0.0 });
        let [(_, along_n), (_, along_d)] = Patterns::of(&points, &residuals).significant();
        assert!(along_n.is_empty(), "one trunk a size says nothing: {along_n:?}");
        assert!(along_d.iter().any(|group| group.at == 1.6e7 && group.mean > 0.0), "{along_d:?}");
        let (points, residuals) = table(|i, _| 0.02 * i as f64);
        let [_, (_, along_d)] = Patterns::of(&points, &residuals).significant();
        assert!(along_d.is_empty(), "luck must not show as a pattern along D: {along_d:?}");
    }
}
