//! Vector arithmetic, which the CPU's kernels share.
//!
//! A kernel is a function over a [`Simd`], and [`kernel!`] makes two of it: one for CPUs with AVX-512, and one in plain
//! arithmetic on arrays, which the compiler turns into what other CPUs have. Which of them runs is decided when the
//! program does. Both do the same operations in the same order on vectors of the same width, so they give the same bits.
//!
//! That it is not left to the compiler to find the vectors in loops over slices was tried: narrow rows, as small models
//! have them, never reached the fast part of what it made, and any small change to a loop could undo it.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
pub use portable::Portable;

pub use crate::{for_chunks, kernel};

/// Elements of a vector. The width is part of the result, since sums are taken lane by lane: one number for all machines.
pub const LANES: usize = 16;

/// What one chunk of a slice holds.
pub type Lanes = [f32; LANES];

/// Operations on vectors of [`LANES`] elements.
pub trait Simd: Copy {
    /// [`LANES`] elements.
    type Vector: Copy;

    /// Loads a chunk.
    fn load(self, from: &Lanes) -> Self::Vector;
    /// Stores a chunk.
    fn store(self, into: &mut Lanes, vector: Self::Vector);
    /// Loads fewer than [`LANES`] elements; the other lanes are zero.
    fn load_part(self, from: &[f32]) -> Self::Vector;
    /// Stores as many lanes as there is room for.
    fn store_part(self, into: &mut [f32], vector: Self::Vector);

    /// One value in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The square root of each lane.
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The smaller of each pair; `b` where they do not compare.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger of each pair; `b` where they do not compare.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The first lanes of one vector, and the rest of another.
    fn first(self, count: usize, of: Self::Vector, rest: Self::Vector) -> Self::Vector;
    /// `value * 2^n`, where `n` is the integer in the low bits of `shifted`.
    fn scale_by_power(self, value: Self::Vector, shifted: Self::Vector) -> Self::Vector;
    /// The sum of the lanes: halves are added until one is left.
    fn sum(self, vector: Self::Vector) -> f32;
    /// The largest lane.
    fn highest(self, vector: Self::Vector) -> f32;

    /// e^x to about two units in the last place.
    ///
    /// Splits x = n ln 2 + r with |r| <= ln 2 / 2 and evaluates a polynomial on r: the classical scheme of Cody and
    /// Waite, with the coefficients of the Cephes library.
    #[inline(always)]
    fn exp(self, x: Self::Vector) -> Self::Vector {
        const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer, kept in the low bits
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let x = self.max(self.splat(-87.3), self.min(self.splat(88.7), x));
        let shifted = self.mul_add(x, self.splat(std::f32::consts::LOG2_E), self.splat(ROUND));
        let n = self.sub(shifted, self.splat(ROUND));
        let r = self.mul_add(n, self.splat(-LN_2_LOW), self.mul_add(n, self.splat(-LN_2_HIGH), x));
        let p = self.mul_add(self.splat(1.987_569_1e-4), r, self.splat(1.398_199_9e-3));
        let p = self.mul_add(p, r, self.splat(8.333_452e-3));
        let p = self.mul_add(p, r, self.splat(4.166_579_6e-2));
        let p = self.mul_add(p, r, self.splat(0.166_666_66));
        let p = self.mul_add(p, r, self.splat(0.5));
        let y = self.add(self.mul_add(p, self.mul(r, r), r), self.splat(1.0));
        self.scale_by_power(y, shifted)
    }

    /// 1 / (1 + e^-x).
    #[inline(always)]
    fn sigmoid(self, x: Self::Vector) -> Self::Vector {
        let one = self.splat(1.0);
        self.div(one, self.add(one, self.exp(self.sub(self.splat(0.0), x))))
    }

    /// The inner product of two slices of one length.
    #[inline(always)]
    fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        // Two sums in turn, so that an addition need not wait for the one before.
        let mut sums = [self.splat(0.0); 2];
        for_chunks!(a.len(), chunk => {
            sums = [sums[1], self.mul_add(chunk.load(self, a), chunk.load(self, b), sums[0])];
        });
        self.sum(self.add(sums[0], sums[1]))
    }

    /// The largest element.
    #[inline(always)]
    fn max_of(self, values: &[f32]) -> f32 {
        let lowest = self.splat(f32::MIN);
        let mut highest = lowest;
        for_chunks!(values.len(), chunk => {
            let value = self.first(chunk.count(), chunk.load(self, values), lowest);
            highest = self.max(value, highest);
        });
        self.highest(highest)
    }

    /// Replaces each value by e^(value - shift) and returns their sum.
    #[inline(always)]
    fn exp_and_sum(self, values: &mut [f32], shift: f32) -> f32 {
        let (shift, zero) = (self.splat(shift), self.splat(0.0));
        let mut sum = zero;
        for_chunks!(values.len(), chunk => {
            let value = self.exp(self.sub(chunk.load(self, values), shift));
            sum = self.add(sum, self.first(chunk.count(), value, zero));
            chunk.store(self, values, value);
        });
        self.sum(sum)
    }

    /// Multiplies each value.
    #[inline(always)]
    fn scale(self, values: &mut [f32], by: f32) {
        let by = self.splat(by);
        for_chunks!(values.len(), chunk => {
            let value = self.mul(chunk.load(self, values), by);
            chunk.store(self, values, value);
        });
    }
}

/// A whole chunk of a slice.
#[derive(Clone, Copy)]
pub struct Whole {
    /// Its first index.
    pub from: usize,
}

/// The last, shorter chunk of a slice.
#[derive(Clone, Copy)]
pub struct Part {
    /// Its first index.
    pub from: usize,
    /// How many elements it has.
    pub count: usize,
}

impl Whole {
    /// Its elements of a slice.
    #[inline(always)]
    pub fn load<S: Simd>(self, simd: S, slice: &[f32]) -> S::Vector {
        let chunk: &Lanes = slice[self.from..self.from + LANES].try_into().expect("as long as a vector");
        simd.load(chunk)
    }

    /// Writes to its elements of a slice.
    #[inline(always)]
    pub fn store<S: Simd>(self, simd: S, slice: &mut [f32], vector: S::Vector) {
        let chunk: &mut Lanes = (&mut slice[self.from..self.from + LANES]).try_into().expect("as long as a vector");
        simd.store(chunk, vector);
    }

    /// How many elements it has.
    #[inline(always)]
    #[must_use]
    pub fn count(self) -> usize {
        LANES
    }
}

impl Part {
    /// Its elements of a slice.
    #[inline(always)]
    pub fn load<S: Simd>(self, simd: S, slice: &[f32]) -> S::Vector {
        simd.load_part(&slice[self.from..self.from + self.count])
    }

    /// Writes to its elements of a slice.
    #[inline(always)]
    pub fn store<S: Simd>(self, simd: S, slice: &mut [f32], vector: S::Vector) {
        simd.store_part(&mut slice[self.from..self.from + self.count], vector);
    }

    /// How many elements it has.
    #[inline(always)]
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }
}

/// Does the same to each chunk of slices of this length: `for_chunks!(length, chunk => { .. })`, where `chunk` loads from
/// slices and stores to them. The chunk at the end may be shorter.
#[macro_export]
macro_rules! for_chunks {
    ($length:expr, $chunk:ident => $body:block) => {{
        let length: usize = $length;
        let whole = length / $crate::simd::LANES * $crate::simd::LANES;
        let mut from = 0;
        while from < whole {
            let $chunk = $crate::simd::Whole { from };
            $body
            from += $crate::simd::LANES;
        }
        if whole < length {
            let $chunk = $crate::simd::Part { from: whole, count: length - whole };
            $body
        }
    }};
}

/// Makes a function of a kernel: `kernel! { fn name(argument: Type, ..) -> Result = body; }`, where `body` takes a
/// [`Simd`] before its arguments and is `#[inline(always)]`.
#[macro_export]
macro_rules! kernel {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? = $body:path;) => {
        $(#[$attribute])*
        fn $name($($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = $crate::simd::Avx512::detect() {
                #[target_feature(enable = "avx512f")]
                fn with_avx512(
                    simd: $crate::simd::Avx512,
                    $($argument: $type),*
                ) $(-> $result)? {
                    $body(simd, $($argument),*)
                }
                // SAFETY: `detect` found the instruction set.
                return unsafe { with_avx512(simd, $($argument),*) };
            }
            $body($crate::simd::Portable, $($argument),*)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(simd: impl Simd) {
        let exp = |x: f32| {
            let mut lanes = [0.0; LANES];
            simd.store(&mut lanes, simd.exp(simd.splat(x)));
            assert!(lanes.iter().all(|lane| lane.to_bits() == lanes[0].to_bits()));
            lanes[0]
        };
        let step = if cfg!(miri) { 7_919 } else { 1 };
        for index in (-80_000..=80_000).step_by(step) {
            let x = index as f32 * 1e-3;
            let exact = f64::from(x).exp();
            let relative = (f64::from(exp(x)) / exact - 1.0).abs();
            assert!(relative < 2.0 * f64::from(f32::EPSILON), "e^{x}: off by {relative:e}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);

        for len in [0, 1, 15, 16, 17, 31, 32, 33, 48, 100] {
            let values: Vec<f32> = (0..len).map(|index| index as f32).collect();
            let squares: f32 = values.iter().map(|value| value * value).sum();
            assert_eq!(simd.dot(&values, &values), squares);
            assert_eq!(simd.max_of(&values), if len == 0 { f32::MIN } else { (len - 1) as f32 });
            let negative: Vec<f32> = values.iter().map(|value| value - 1000.0).collect();
            assert_eq!(simd.max_of(&negative), if len == 0 { f32::MIN } else { len as f32 - 1001.0 });
            let mut ones = vec![0.0; len];
            assert_eq!(simd.exp_and_sum(&mut ones, 0.0), len as f32);
            simd.scale(&mut ones, 3.0);
            assert_eq!(ones, vec![3.0; len]);
        }
    }

    #[test]
    fn portable_arithmetic_is_right() {
        check(Portable);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn avx512_is_right_and_gives_the_same_bits() {
        let Some(simd) = Avx512::detect() else { return };
        check(simd);
        let values: Vec<f32> = (0..1000).map(|index| ((index * 7919) % 1000) as f32 * 0.037 - 18.0).collect();
        assert_eq!(simd.dot(&values, &values).to_bits(), Portable.dot(&values, &values).to_bits());
        let run = |simd: &dyn Fn(&mut [f32]) -> f32| {
            let mut values = values.clone();
            let sum = simd(&mut values);
            values.push(sum);
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(run(&|values| simd.exp_and_sum(values, 1.5)), run(&|values| Portable.exp_and_sum(values, 1.5)));
    }
}
