//! Whether losses fall in N and in D at all. A law that only falls cannot describe a table that does not.

use serde::{Deserialize, Serialize};

use crate::point::Point;

/// Neighbours in the table, and how many of them are out of order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Monotonicity {
    /// Neighbouring sizes at the same D.
    pub in_n: Neighbours,
    /// Neighbouring amounts of data at the same N.
    pub in_d: Neighbours,
}

/// Pairs of neighbours along one axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Number of pairs. Zero along N if no two sizes saw the same amount of data.
    pub pairs: usize,
    /// Number of pairs whose loss does not fall.
    pub violations: usize,
    /// Largest rise among those, in nats; zero without one.
    pub worst_rise: f64,
}

impl Monotonicity {
    /// Compares mean losses at each place (N, D), so that seeds do not count as sizes.
    pub(crate) fn of(points: &[Point]) -> Self {
        let places = mean_losses(points);
        let by = |line: fn(&Place) -> f64, along: fn(&Place) -> f64| {
            let mut places = places.clone();
            places.sort_by(|a, b| line(a).total_cmp(&line(b)).then(along(a).total_cmp(&along(b))));
            let mut found = Neighbours::default();
            for line in places.chunk_by(|a, b| line(a) == line(b)) {
                for pair in line.windows(2) {
                    let rise = pair[1].loss - pair[0].loss;
                    found.pairs += 1;
                    found.violations += usize::from(rise >= 0.0);
                    found.worst_rise = found.worst_rise.max(rise);
                }
            }
            found
        };
        Self { in_n: by(|place| place.d, |place| place.n), in_d: by(|place| place.n, |place| place.d) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Place {
    n: f64,
    d: f64,
    loss: f64,
}

fn mean_losses(points: &[Point]) -> Vec<Place> {
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|a, b| a.n.total_cmp(&b.n).then(a.d.total_cmp(&b.d)));
    sorted
        .chunk_by(|a, b| a.n == b.n && a.d == b.d)
        .map(|place| {
            let loss = place.iter().map(|point| point.loss).sum::<f64>() / place.len() as f64;
            Place { n: place[0].n, d: place[0].d, loss }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_is_counted_along_its_axis() {
        let point = |n, d, loss| Point { size: String::new(), n, d, loss, trunk: String::new(), ..Point::default() };
        // Along D all fall; along N the second size is worse at both amounts of data.
        let table = [point(1.0, 1.0, 3.0), point(1.0, 2.0, 2.5), point(2.0, 1.0, 3.25), point(2.0, 2.0, 2.5)];
        let found = Monotonicity::of(&table);
        assert_eq!(found.in_d, Neighbours { pairs: 2, violations: 0, worst_rise: 0.0 });
        assert_eq!(found.in_n, Neighbours { pairs: 2, violations: 2, worst_rise: 0.25 });
    }

    #[test]
    fn without_a_common_d_there_is_nothing_to_compare_along_n() {
        let point = |n, d, loss| Point { size: String::new(), n, d, loss, trunk: String::new(), ..Point::default() };
        assert_eq!(Monotonicity::of(&[point(1.0, 10.0, 3.0), point(2.0, 20.0, 2.5)]).in_n.pairs, 0);
    }
}
