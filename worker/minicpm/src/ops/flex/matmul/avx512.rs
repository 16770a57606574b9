//! The part of a product that is kept in registers, and the transposition of a block, in AVX-512 instructions.

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_add_ps, _mm512_castpd_ps, _mm512_castps_pd, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};

use crate::simd::{Avx512, LANES};

/// The widest tile, in vectors.
pub(super) const MAX_VECTORS: usize = 4;

/// A tile of a product: rows of the left factor times a panel of the right one.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Rows, from one to [`Tile::max_rows`] of its width.
    pub(super) rows: usize,
    /// Columns, in vectors, from one to [`MAX_VECTORS`].
    pub(super) vectors: usize,
    /// Columns of the last vector, from one to [`LANES`]: the rest is computed and not stored.
    pub(super) last_columns: usize,
    /// The inner dimension.
    pub(super) inner: usize,
    /// What the product is multiplied by.
    pub(super) scale: f32,
    /// Whether it is added to what is there.
    pub(super) accumulate: bool,
}

/// Where the operands of a tile lie.
#[derive(Clone, Copy)]
pub(super) struct Operands {
    /// The first element of the left factor.
    pub(super) left: *const f32,
    /// From one of its rows to the next.
    pub(super) left_row: usize,
    /// From one of its columns to the next.
    pub(super) left_column: usize,
    /// The first element of the right factor, whose columns lie side by side.
    pub(super) right: *const f32,
    /// From one of its rows to the next.
    pub(super) right_row: usize,
    /// The first element of the output, whose columns lie side by side.
    pub(super) into: *mut f32,
    /// From one of its rows to the next.
    pub(super) into_row: usize,
}

impl Avx512 {
    /// Computes a tile.
    ///
    /// # Safety
    /// The operands' strides must stay inside one allocation each: `rows` by `inner` elements of the left factor,
    /// `inner` rows of `vectors` whole vectors of the right one, `rows` rows of the output as far as they are stored,
    /// which nothing else reads or writes meanwhile.
    pub(super) unsafe fn tile(self, tile: Tile, at: Operands) {
        macro_rules! dispatch {
            ($($vectors:literal: $($rows:literal)*;)*) => {
                match (tile.vectors, tile.rows) {
                    // SAFETY: `self` proves the instruction set; the rest is the caller's promise.
                    $($(($vectors, $rows) => unsafe { tile_of::<$rows, $vectors>(tile, at) },)*)*
                    (vectors, rows) => unreachable!("no tile of {rows} rows and {vectors} vectors"),
                }
            };
        }
        dispatch! {
            1: 1 2 3 4 5 6 7 8;
            2: 1 2 3 4 5 6 7 8 9 10 11 12;
            3: 1 2 3 4 5 6 7 8;
            4: 1 2 3 4 5 6;
        }
    }

    /// Copies a block of 16 by 16 elements, transposed.
    ///
    /// # Safety
    /// `from` must have 16 rows of 16 elements, `from_row` apart, and `into` the same room, `into_row` apart.
    pub(super) unsafe fn transpose(self, from: *const f32, from_row: usize, into: *mut f32, into_row: usize) {
        // SAFETY: `self` proves the instruction set; the rest is the caller's promise.
        unsafe { transpose_block(from, from_row, into, into_row) }
    }
}

impl Tile {
    /// Rows of the tallest tile of this width. Its sums, with a vector for each of the operands, fill the 32 registers.
    pub(super) fn max_rows(vectors: usize) -> usize {
        match vectors {
            4 => 6,
            2 => 12,
            _ => 8,
        }
    }
}

// No closures and no iterators below: they are compiled without the instruction set of the function they stand in, and
// are then called instead of inlined (tried: a third of the speed).

#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "see above")]
unsafe fn tile_of<const ROWS: usize, const VECTORS: usize>(tile: Tile, at: Operands) {
    // SAFETY: every address is one that the caller of `Avx512::tile` vouched for.
    unsafe {
        let mut rows = [at.left; ROWS];
        for row in 0..ROWS {
            rows[row] = at.left.add(row * at.left_row);
        }
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let (mut right, mut column) = (at.right, 0);
        for _ in 0..tile.inner {
            let mut vectors = [_mm512_setzero_ps(); VECTORS];
            for index in 0..VECTORS {
                vectors[index] = _mm512_loadu_ps(right.add(index * LANES));
            }
            for row in 0..ROWS {
                let factor = _mm512_set1_ps(*rows[row].add(column));
                for index in 0..VECTORS {
                    sums[row][index] = _mm512_fmadd_ps(factor, vectors[index], sums[row][index]);
                }
            }
            right = right.wrapping_add(at.right_row);
            column += at.left_column;
        }
        let scale = _mm512_set1_ps(tile.scale);
        let last: __mmask16 = u16::MAX >> (LANES - tile.last_columns);
        for row in 0..ROWS {
            for index in 0..VECTORS {
                let into = at.into.add(row * at.into_row + index * LANES);
                let columns = if index + 1 == VECTORS { last } else { u16::MAX };
                let mut value = _mm512_mul_ps(sums[row][index], scale);
                if tile.accumulate {
                    value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(columns, into));
                }
                _mm512_mask_storeu_ps(into, columns, value);
            }
        }
    }
}

/// In four rounds, each of which exchanges parts of pairs of rows: elements, pairs, and quarters of registers twice.
#[target_feature(enable = "avx512f")]
#[expect(clippy::needless_range_loop, reason = "see above")]
unsafe fn transpose_block(from: *const f32, from_row: usize, into: *mut f32, into_row: usize) {
    let mut rows = [_mm512_setzero_ps(); LANES];
    for row in 0..LANES {
        // SAFETY: every address is one that the caller of `Avx512::transpose` vouched for.
        rows[row] = unsafe { _mm512_loadu_ps(from.add(row * from_row)) };
    }
    let mut quads = rows;
    for group in 0..4 {
        let [a, b, c, d] = [rows[4 * group], rows[4 * group + 1], rows[4 * group + 2], rows[4 * group + 3]];
        let (low_ab, high_ab) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let (low_cd, high_cd) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        // Now four rows' elements of column 4 q + i stand together in quarter q of register i.
        quads[4 * group] = low_pairs(low_ab, low_cd);
        quads[4 * group + 1] = high_pairs(low_ab, low_cd);
        quads[4 * group + 2] = low_pairs(high_ab, high_cd);
        quads[4 * group + 3] = high_pairs(high_ab, high_cd);
    }
    for column in 0..4 {
        let [a, b, c, d] = [quads[column], quads[4 + column], quads[8 + column], quads[12 + column]];
        let (even_ab, odd_ab) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b));
        let (even_cd, odd_cd) = (_mm512_shuffle_f32x4::<0x88>(c, d), _mm512_shuffle_f32x4::<0xdd>(c, d));
        // SAFETY: as above.
        unsafe {
            _mm512_storeu_ps(into.add(column * into_row), _mm512_shuffle_f32x4::<0x88>(even_ab, even_cd));
            _mm512_storeu_ps(into.add((column + 4) * into_row), _mm512_shuffle_f32x4::<0x88>(odd_ab, odd_cd));
            _mm512_storeu_ps(into.add((column + 8) * into_row), _mm512_shuffle_f32x4::<0xdd>(even_ab, even_cd));
            _mm512_storeu_ps(into.add((column + 12) * into_row), _mm512_shuffle_f32x4::<0xdd>(odd_ab, odd_cd));
        }
    }
}

#[target_feature(enable = "avx512f")]
fn low_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
}

#[target_feature(enable = "avx512f")]
fn high_pairs(a: __m512, b: __m512) -> __m512 {
    _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_transposed() {
        let Some(avx512) = Avx512::detect() else { return };
        let from: Vec<f32> = (0..16 * 20).map(|index| index as f32).collect();
        let mut into = vec![0.0; 16 * 17];
        // SAFETY: 16 rows of 16 elements fit into both.
        unsafe { avx512.transpose(from.as_ptr(), 20, into.as_mut_ptr(), 17) };
        for row in 0..16 {
            for column in 0..16 {
                assert_eq!(into[column * 17 + row], from[row * 20 + column]);
            }
        }
    }
}
