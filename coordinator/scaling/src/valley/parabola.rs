//! The vertex of a parabola.

use super::{MIN_SETTINGS, Valley};
use crate::dense::Symmetric;

/// Fitted to the `nearest` of ascending settings (log setting, value, weight).
pub(super) fn lowest(settings: &[(f64, f64, f64)], nearest: usize) -> Valley {
    let used = window(settings, nearest.max(MIN_SETTINGS));
    let (first, last) = (used[0].0, used[used.len() - 1].0);
    let (centre, scale) = (0.5 * (first + last), 0.5 * (last - first));
    let mut matrix = Symmetric::zero(3);
    let mut right = [0.0; 3];
    for &(at, value, weight) in used {
        let t = (at - centre) / scale;
        let powers = [1.0, t, t * t];
        matrix.add_outer(&powers, weight);
        right.iter_mut().zip(powers).for_each(|(right, power)| *right += weight * value * power);
    }
    let Some(solved) = matrix.solve(&right) else { return Valley::NoFloor };
    let (level, slope, bend) = (solved[0], solved[1], solved[2]);
    // A curvature within rounding of the values does not count.
    let size = used.iter().map(|setting| setting.1.abs()).fold(0.0, f64::max);
    if bend <= 1e-12 * size {
        return Valley::NoFloor;
    }
    let vertex = -0.5 * slope / bend;
    match vertex {
        _ if vertex <= -1.0 => Valley::Below,
        _ if vertex >= 1.0 => Valley::Above,
        _ => Valley::Lowest { at: (centre + scale * vertex).exp(), value: level - 0.25 * slope * slope / bend },
    }
}

/// The settings nearest to the lowest of them, by number of steps; at an end they are all on one side.
fn window(settings: &[(f64, f64, f64)], nearest: usize) -> &[(f64, f64, f64)] {
    let nearest = nearest.min(settings.len());
    let lowest = (0..settings.len()).min_by(|&a, &b| settings[a].1.total_cmp(&settings[b].1)).unwrap_or_default();
    let start = lowest.saturating_sub(nearest / 2).min(settings.len() - nearest);
    &settings[start..start + nearest]
}
