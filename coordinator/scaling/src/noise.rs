//! How the size of the noise varies over a table.
//!
//! Losses of small models at few tokens are often noisier than those of large ones. The logarithm of the residuals'
//! size is fitted by a plane over log N and log D, whose slopes are drawn towards zero as far as they may be chance, so
//! that a small table with even noise keeps it.

use nalgebra::{Matrix3, Vector3};

/// The size of each row's noise relative to the typical one, from residuals and their places (log N, log D).
pub(crate) fn relative(residuals: &[f64], places: &[(f64, f64)]) -> Vec<f64> {
    let even = vec![1.0; residuals.len()];
    let Some([along_n, along_d]) = slopes(residuals, places) else { return even };
    let count = residuals.len() as f64;
    let logs: Vec<f64> = places.iter().map(|(x, y)| along_n * x + along_d * y).collect();
    let mean = logs.iter().sum::<f64>() / count;
    logs.iter().map(|log| (log - mean).exp()).collect()
}

/// Standard deviation of the residuals without outliers: the smaller of the usual estimate and a generous one from the
/// median size.
pub(crate) fn scale(residuals: &[f64], freedom: f64) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let squares: f64 = sizes.iter().map(|size| size * size).sum();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    (squares / freedom).sqrt().min(1.3 * 1.4826 * median * (sizes.len() as f64 / freedom).sqrt())
}

/// Slopes of the log size along both axes.
fn slopes(residuals: &[f64], places: &[(f64, f64)]) -> Option<[f64; 2]> {
    let mut sizes: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    // The fit passes through some points exactly, and the logarithms of their residuals are far below all others.
    let least = 0.05 * sizes.get(sizes.len() / 2)?;
    if least <= 0.0 {
        return None;
    }
    let logs: Vec<f64> = residuals.iter().map(|residual| residual.abs().max(least).ln()).collect();
    let rows: Vec<Vector3<f64>> = places.iter().map(|&(x, y)| Vector3::new(1.0, x, y)).collect();
    let normal: Matrix3<f64> = rows.iter().map(|row| row * row.transpose()).sum();
    let inverse = normal.cholesky()?.inverse();
    let right: Vector3<f64> = rows.iter().zip(&logs).map(|(row, log)| row * *log).sum();
    let plane = inverse * right;
    let squares: f64 = rows.iter().zip(&logs).map(|(row, log)| (log - row.dot(&plane)).powi(2)).sum();
    let variance = squares / (residuals.len() as f64 - 3.0).max(1.0);
    let drawn = |i: usize| {
        let chance = 2.0 * variance * inverse[(i, i)] / plane[i].powi(2);
        plane[i] * (1.0 - chance).max(0.0)
    };
    Some([drawn(1), drawn(2)]).filter(|slopes| slopes.iter().all(|slope| slope.is_finite()))
}
