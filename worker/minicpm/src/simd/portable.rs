//! Vectors as arrays, for CPUs without AVX-512 and for Miri.

use super::{LANES, Lanes, Simd};

/// Plain arithmetic on arrays.
#[derive(Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn lanes(f: impl Fn(usize) -> f32) -> Lanes {
    let mut result = [0.0; LANES];
    for (lane, result) in result.iter_mut().enumerate() {
        *result = f(lane);
    }
    result
}

#[inline(always)]
fn fold(mut lanes: Lanes, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = f(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

impl Simd for Portable {
    type Vector = Lanes;

    #[inline(always)]
    fn load(self, from: &Lanes) -> Lanes {
        *from
    }

    #[inline(always)]
    fn store(self, into: &mut Lanes, vector: Lanes) {
        *into = vector;
    }

    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Lanes {
        let mut lanes = [0.0; LANES];
        lanes[..from.len()].copy_from_slice(from);
        lanes
    }

    #[inline(always)]
    fn store_part(self, into: &mut [f32], vector: Lanes) {
        into.copy_from_slice(&vector[..into.len()]);
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Lanes {
        [value; LANES]
    }

    #[inline(always)]
    fn add(self, a: Lanes, b: Lanes) -> Lanes {
        lanes(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        lanes(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        lanes(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn div(self, a: Lanes, b: Lanes) -> Lanes {
        lanes(|lane| a[lane] / b[lane])
    }

    #[inline(always)]
    fn sqrt(self, a: Lanes) -> Lanes {
        lanes(|lane| a[lane].sqrt())
    }

    #[inline(always)]
    fn mul_add(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        lanes(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    // As the instructions have it: the second operand, unless the first is smaller (or larger).
    #[inline(always)]
    fn min(self, a: Lanes, b: Lanes) -> Lanes {
        lanes(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn max(self, a: Lanes, b: Lanes) -> Lanes {
        lanes(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn first(self, count: usize, of: Lanes, rest: Lanes) -> Lanes {
        lanes(|lane| if lane < count { of[lane] } else { rest[lane] })
    }

    #[inline(always)]
    fn scale_by_power(self, value: Lanes, shifted: Lanes) -> Lanes {
        // By adding n to the exponent bits.
        lanes(|lane| f32::from_bits(value[lane].to_bits().wrapping_add(shifted[lane].to_bits() << 23)))
    }

    #[inline(always)]
    fn sum(self, vector: Lanes) -> f32 {
        fold(vector, |a, b| a + b)
    }

    #[inline(always)]
    fn highest(self, vector: Lanes) -> f32 {
        fold(vector, |a, b| if a > b { a } else { b })
    }
}
