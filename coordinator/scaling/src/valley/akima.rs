//! The minimum of Akima's spline (1970): cubic pieces whose slopes come from the nearest four secants, weighted so that
//! one steep secant does not distort the curve on its flat side.

use super::Valley;

/// The minimum over ascending settings (log setting, value, weight). The spline passes through all, so weights do not
/// matter.
pub(super) fn lowest(settings: &[(f64, f64, f64)]) -> Valley {
    let slopes = slopes(settings);
    let mut best = (0, 0.0, settings[0].1);
    for (piece, ends) in settings.windows(2).enumerate() {
        let (width, y0, y1) = (ends[1].0 - ends[0].0, ends[0].1, ends[1].1);
        let (m0, m1) = (slopes[piece] * width, slopes[piece + 1] * width);
        // y0 + m0 u + b u^2 + a u^3 on u in [0, 1].
        let (a, b) = (2.0 * (y0 - y1) + m0 + m1, 3.0 * (y1 - y0) - 2.0 * m0 - m1);
        let at = |u: f64| y0 + u * (m0 + u * (b + u * a));
        for u in turning(3.0 * a, 2.0 * b, m0).into_iter().chain([Some(1.0)]).flatten() {
            if (0.0..=1.0).contains(&u) && at(u) < best.2 {
                best = (piece, u, at(u));
            }
        }
    }
    let (piece, u, value) = best;
    match (piece, u) {
        (0, 0.0) => Valley::Below,
        (piece, 1.0) if piece + 2 == settings.len() => Valley::Above,
        _ => Valley::Lowest { at: (settings[piece].0 + u * (settings[piece + 1].0 - settings[piece].0)).exp(), value },
    }
}

fn slopes(settings: &[(f64, f64, f64)]) -> Vec<f64> {
    let secants: Vec<f64> = settings.windows(2).map(|ends| (ends[1].1 - ends[0].1) / (ends[1].0 - ends[0].0)).collect();
    // Two more secants at each end, as if the curve continued as a parabola.
    let n = secants.len();
    let mut m = vec![3.0 * secants[0] - 2.0 * secants[1], 2.0 * secants[0] - secants[1]];
    m.extend(&secants);
    m.extend([2.0 * secants[n - 1] - secants[n - 2], 3.0 * secants[n - 1] - 2.0 * secants[n - 2]]);
    m.windows(4)
        .map(|near| {
            let (after, before) = ((near[3] - near[2]).abs(), (near[1] - near[0]).abs());
            let total = after + before;
            // If both sides are straight, the mean of the two.
            if total <= 1e-9 { 0.5 * (near[1] + near[2]) } else { (after * near[1] + before * near[2]) / total }
        })
        .collect()
}

/// Roots of `a u^2 + b u + c`.
fn turning(a: f64, b: f64, c: f64) -> [Option<f64>; 2] {
    let discriminant = b * b - 4.0 * a * c;
    if discriminant < 0.0 {
        return [None, None];
    }
    let q = -0.5 * (b + b.signum() * discriminant.sqrt());
    let root = |above: f64, below: f64| (below != 0.0).then(|| above / below);
    [root(q, a), root(c, q)]
}
