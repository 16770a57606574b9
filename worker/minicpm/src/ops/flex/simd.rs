//! Arithmetic the kernels share, written so that the compiler turns it into vector instructions.
//!
//! These functions are always inlined into a kernel marked `#[multiversion]`, which is compiled once for AVX-512, once
//! for AVX2 and once for the baseline, and picked when the program runs.

/// Independent partial sums of a reduction: two AVX-512 registers, so that additions need not wait for each other. The
/// width is part of the result (floating-point addition is not associative), so it is one number for all machines.
const LANES: usize = 32;

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

/// The inner product.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = whole_a.remainder().iter().zip(whole_b.remainder());
    for (a, b) in whole_a.zip(whole_b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// The largest element.
#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let mut highest = [f32::MIN; LANES];
    let whole = values.chunks_exact(LANES);
    let rest = whole.remainder();
    for chunk in whole {
        for lane in 0..LANES {
            highest[lane] = highest[lane].max(chunk[lane]);
        }
    }
    highest.iter().chain(rest).fold(f32::MIN, |highest, &value| highest.max(value))
}

/// Replaces each value by e^(value - shift) and returns their sum.
#[inline(always)]
pub(super) fn exp_and_sum(values: &mut [f32], shift: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let mut whole = values.chunks_exact_mut(LANES);
    for chunk in &mut whole {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            sums[lane] += chunk[lane];
        }
    }
    let mut rest = 0.0;
    for value in whole.into_remainder() {
        *value = exp(*value - shift);
        rest += *value;
    }
    sums.iter().sum::<f32>() + rest
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
        for len in [0, 1, 31, 32, 33, 100] {
            let values: Vec<f32> = (0..len).map(|index| index as f32).collect();
            let squares: f32 = values.iter().map(|value| value * value).sum();
            assert_eq!(dot(&values, &values), squares);
            assert_eq!(max(&values), if len == 0 { f32::MIN } else { (len - 1) as f32 });
            let mut exponentials = vec![0.0; len];
            assert_eq!(exp_and_sum(&mut exponentials, 0.0), len as f32);
        }
    }
}
