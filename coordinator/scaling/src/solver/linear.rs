//! The step of a damped Newton method.

use super::Local;
use crate::law::Params;

pub(crate) type Matrix = [[f64; 5]; 5];

/// Solves (H + damping * scale) step = -gradient over the free parameters; `None` if that matrix is not positive
/// definite.
pub(crate) fn damped_step(local: &Local, free: &[bool; 5], damping: [f64; 5]) -> Option<Params> {
    let mut lower: Matrix = [[0.0; 5]; 5];
    let floor = 1e-12 * local.scale.iter().copied().fold(0.0, f64::max);
    for i in 0..5 {
        for j in 0..=i {
            let entry = match (i == j, free[i] && free[j]) {
                (true, true) => local.hessian[i][i] + damping[i] * local.scale[i].max(floor),
                (true, false) => 1.0,
                (false, true) => local.hessian[i][j],
                (false, false) => 0.0,
            };
            let rest = entry - (0..j).map(|k| lower[i][k] * lower[j][k]).sum::<f64>();
            if i == j {
                if rest <= 1e-14 * entry.abs() || !rest.is_finite() {
                    return None;
                }
                lower[i][i] = rest.sqrt();
            } else {
                lower[i][j] = rest / lower[j][j];
            }
        }
    }
    let mut step = [0.0; 5];
    for i in 0..5 {
        let right = if free[i] { -local.gradient[i] } else { 0.0 };
        step[i] = (right - (0..i).map(|k| lower[i][k] * step[k]).sum::<f64>()) / lower[i][i];
    }
    for i in (0..5).rev() {
        step[i] = (step[i] - (i + 1..5).map(|k| lower[k][i] * step[k]).sum::<f64>()) / lower[i][i];
    }
    Some(step)
}
