//! The budgets at which optimal models are stated.

use crate::cost::Cost;
use crate::point::Point;

/// Budgets worth stating for a table: the decades from its cheapest point to ten times its most expensive one.
#[must_use]
pub fn default_budgets(points: &[Point], cost: Cost) -> Vec<f64> {
    let decades = points.iter().map(|point| cost.flops(point.n, point.d).log10()).filter(|decade| decade.is_finite());
    let (low, high) = decades.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    if low > high {
        return Vec::new();
    }
    // Parsing gives the double nearest to a power of ten; `powi` may be one off and print as 9.999e11.
    ((low.ceil() as i32)..=(high.ceil() as i32 + 1)).filter_map(|decade| format!("1e{decade}").parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_decades_about_the_table() {
        let point = |n, d| Point { size: String::new(), n, d, loss: 3.0, trunk: String::new(), ..Point::default() };
        let budgets = default_budgets(&[point(23_712.0, 5e5), point(377_472.0, 4e6)], Cost::SixNd);
        assert_eq!(budgets, [1e11, 1e12, 1e13, 1e14]);
        assert!(default_budgets(&[], Cost::SixNd).is_empty());
    }
}
