//! Vectors in AVX-512 registers.

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cvtss_f32,
    _mm512_div_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_blend_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_permute_ps, _mm512_set1_ps,
    _mm512_shuffle_f32x4, _mm512_slli_epi32, _mm512_sqrt_ps, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{LANES, Lanes, Simd};

/// Proof that this CPU has AVX-512.
#[derive(Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// Whether this CPU has it.
    #[inline]
    #[must_use]
    pub fn detect() -> Option<Self> {
        // Miri has no such instructions.
        (!cfg!(miri) && std::arch::is_x86_feature_detected!("avx512f")).then_some(Self(()))
    }
}

/// The first lanes, up to all.
#[inline(always)]
fn mask(count: usize) -> __mmask16 {
    ((1_u32 << count) - 1) as __mmask16
}

/// Combines halves until one lane is left, in the order in which [`super::Portable`] does.
macro_rules! fold {
    ($vector:expr, $combine:ident) => {{
        let vector = $vector;
        let vector = $combine(vector, _mm512_shuffle_f32x4::<0b01_00_11_10>(vector, vector));
        let vector = $combine(vector, _mm512_shuffle_f32x4::<0b10_11_00_01>(vector, vector));
        let vector = $combine(vector, _mm512_permute_ps::<0b01_00_11_10>(vector));
        let vector = $combine(vector, _mm512_permute_ps::<0b10_11_00_01>(vector));
        _mm512_cvtss_f32(vector)
    }};
}

// SAFETY, for all of the below: `self` proves that the CPU has the instructions, and memory is reached through
// references, whose length the type or the mask keeps to.
impl Simd for Avx512 {
    type Vector = __m512;

    #[inline(always)]
    fn load(self, from: &Lanes) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, into: &mut Lanes, vector: __m512) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(into.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn load_part(self, from: &[f32]) -> __m512 {
        assert!(from.len() <= LANES, "a part of a vector");
        // SAFETY: see above.
        unsafe { _mm512_maskz_loadu_ps(mask(from.len()), from.as_ptr()) }
    }

    #[inline(always)]
    fn store_part(self, into: &mut [f32], vector: __m512) {
        assert!(into.len() <= LANES, "a part of a vector");
        // SAFETY: see above.
        unsafe { _mm512_mask_storeu_ps(into.as_mut_ptr(), mask(into.len()), vector) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn first(self, count: usize, of: __m512, rest: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mask_blend_ps(mask(count), rest, of) }
    }

    #[inline(always)]
    fn scale_by_power(self, value: __m512, shifted: __m512) -> __m512 {
        // By adding n to the exponent bits.
        // SAFETY: see above.
        unsafe {
            let exponent = _mm512_slli_epi32::<23>(_mm512_castps_si512(shifted));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(value), exponent))
        }
    }

    #[inline(always)]
    fn sum(self, vector: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { fold!(vector, _mm512_add_ps) }
    }

    #[inline(always)]
    fn highest(self, vector: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { fold!(vector, _mm512_max_ps) }
    }
}
