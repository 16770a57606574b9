//! Arithmetic the kernels share, written so that the compiler turns it into vector instructions.
//!
//! These functions are always inlined into a kernel marked `#[multiversion]`, which is compiled once for AVX-512, once
//! for AVX2 and once for the baseline, and picked when the program runs. They loop over indices: what an iterator is
//! given as a closure is compiled for the kernel's instruction set, and the iterator, which is not, cannot inline it.

/// Elements that are summed independently of each other: an AVX-512 register. The width is part of the result
/// (floating-point addition is not associative), so it is one number for all machines.
pub(super) const LANES: usize = 16;

/// e^x to about two units in the last place.
///
/// Splits x = n ln 2 + r with |r| <= ln 2 / 2 and evaluates a polynomial on r: the classical scheme of Cody and Waite,
/// with the coefficients of the Cephes library. Branch-free, so it vectorises, which the one in libm does not.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.7);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_66;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // Times 2^n, by adding n to the exponent bits.
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The sum of the lanes: halves are added until one is left.
#[inline(always)]
fn sum_of(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The inner product.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len();
    let (a, b) = (&a[..len], &b[..len]);
    let whole = len / LANES * LANES;
    // Two sums in turn, so that an addition need not wait for the one before.
    let (mut even, mut odd) = ([0.0; LANES], [0.0; LANES]);
    let mut from = 0;
    while from + LANES < whole {
        for lane in 0..LANES {
            even[lane] += a[from + lane] * b[from + lane];
        }
        for lane in 0..LANES {
            odd[lane] += a[from + LANES + lane] * b[from + LANES + lane];
        }
        from += 2 * LANES;
    }
    if from < whole {
        for lane in 0..LANES {
            even[lane] += a[from + lane] * b[from + lane];
        }
    }
    for lane in 0..LANES {
        even[lane] += odd[lane];
    }
    let mut rest = 0.0;
    for index in whole..len {
        rest += a[index] * b[index];
    }
    sum_of(even) + rest
}

/// The largest element.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let whole = values.len() / LANES * LANES;
    let mut highest = [f32::MIN; LANES];
    for from in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            highest[lane] = highest[lane].max(values[from + lane]);
        }
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            highest[lane] = highest[lane].max(highest[lane + half]);
        }
        half /= 2;
    }
    let mut highest = highest[0];
    for index in whole..values.len() {
        highest = highest.max(values[index]);
    }
    highest
}

/// Replaces each value by e^(value - shift) and returns their sum.
#[inline(always)]
pub(super) fn exp_and_sum(values: &mut [f32], shift: f32) -> f32 {
    let whole = values.len() / LANES * LANES;
    let mut sums = [0.0; LANES];
    for from in (0..whole).step_by(LANES) {
        let chunk = &mut values[from..from + LANES];
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            sums[lane] += chunk[lane];
        }
    }
    let mut rest = 0.0;
    for index in whole..values.len() {
        values[index] = exp(values[index] - shift);
        rest += values[index];
    }
    sum_of(sums) + rest
}

/// Multiplies each value.
#[inline(always)]
pub(super) fn scale(values: &mut [f32], by: f32) {
    for index in 0..values.len() {
        values[index] *= by;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for index in -80_000..=80_000 {
            let x = index as f32 * 1e-3;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(relative < 2.0 * f64::from(f32::EPSILON), "e^{x}: off by {relative:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn reductions_take_every_element() {
        for len in [0, 1, 15, 16, 17, 31, 32, 33, 48, 100] {
            let values: Vec<f32> = (0..len).map(|index| index as f32).collect();
            let squares: f32 = values.iter().map(|value| value * value).sum();
            assert_eq!(dot(&values, &values), squares);
            assert_eq!(max(&values), if len == 0 { f32::MIN } else { (len - 1) as f32 });
            let mut exponentials = vec![0.0; len];
            assert_eq!(exp_and_sum(&mut exponentials, 0.0), len as f32);
        }
    }
}
