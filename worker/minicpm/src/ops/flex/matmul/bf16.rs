//! Products of factors rounded to bfloat16, summed in 32 bits.
//!
//! AVX512_BF16 multiplies two pairs of bfloat16 and adds both products to a 32-bit sum, in the time of one fused
//! multiply-add: twice the rate. Both factors are packed, which rounds them: the inner dimension in pairs, the elements
//! of a pair side by side in 32 bits. Everything else is as in [`super::blocked`], whose cuts are used here.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, __mmask16, _mm512_add_ps, _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh,
    _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps,
    _mm512_or_si512, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32, _mm512_storeu_si512,
};
use std::cell::Cell;

use rayon::prelude::*;

use super::avx512::{MAX_VECTORS, Tile};
use super::blocked::{Panel, Part, panels, parts};
use super::{Matrix, MatrixMut, Output, Threads, to_bf16};
use crate::simd::LANES;

/// The inner dimension of a block, at most. Part of the result.
const INNER: usize = 1024;
/// Columns packed at once, at most.
const COLUMNS: usize = 768;
/// Rows packed at once, at most.
const ROWS: usize = 120;

/// Proof that this CPU multiplies bfloat16.
#[derive(Clone, Copy)]
pub(super) struct Avx512Bf16(());

impl Avx512Bf16 {
    pub(super) fn detect() -> Option<Self> {
        let detected =
            std::arch::is_x86_feature_detected!("avx512bf16") && std::arch::is_x86_feature_detected!("avx512f");
        (!cfg!(miri) && detected).then_some(Self(()))
    }
}

/// A product, without the lengths of its slices, which the caller has checked.
#[derive(Clone, Copy)]
struct Product<'a> {
    proof: Avx512Bf16,
    left: Matrix<'a>,
    right: Matrix<'a>,
    into: *mut f32,
    into_row: usize,
    inner: usize,
    output: Output,
    scale: f32,
}

// SAFETY: the pointer is to a slice borrowed mutably for as long as the product is computed, and no two tasks write to
// the same rows and columns of it.
unsafe impl Sync for Product<'_> {}

/// See [`super::multiply`], which has checked the bounds.
#[expect(clippy::too_many_arguments, reason = "those of `multiply`, and the proof")]
pub(super) fn multiply(
    proof: Avx512Bf16,
    [m, n, k]: [usize; 3],
    into: MatrixMut<'_>,
    output: Output,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    threads: Threads,
) {
    let (into, into_row) = (into.elements.as_mut_ptr(), into.row_stride);
    let product = Product { proof, left, right, into, into_row, inner: k, output, scale };
    let threads = match threads {
        Threads::One => 1,
        Threads::All => rayon::current_num_threads(),
    };
    match parts([m, n, k], threads).as_slice() {
        [whole] => product.compute(*whole),
        parts => {
            let product = &product;
            parts.par_iter().with_max_len(1).for_each(|part| product.compute(*part));
        }
    }
}

thread_local! {
    /// Packed factors, kept from product to product.
    static PACKED: Cell<[Vec<u32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// A slice of at least this length, whose content does not matter.
fn room(buffer: &mut Vec<u32>, length: usize) -> &mut [u32] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

impl Product<'_> {
    fn compute(&self, part: Part) {
        let [mut left, mut right] = PACKED.take();
        let panels = panels(part.columns);
        let blocks = self.inner.div_ceil(INNER).max(1);
        // Blocks of an even length, so that only the last one may have half a pair.
        let length = self.inner.div_ceil(blocks).next_multiple_of(2).max(2);
        for from in (0..self.inner.max(1)).step_by(length) {
            let block = (from, self.inner.min(from + length));
            let pairs = (block.1 - block.0).div_ceil(2);
            for group in panels.chunks(COLUMNS / (MAX_VECTORS * LANES)) {
                let width = group.iter().map(|panel| panel.width()).sum::<usize>();
                let right = room(&mut right, width * pairs);
                self.pack_right(group, block, right);
                for first_row in (part.rows.0..part.rows.1).step_by(ROWS) {
                    let rows = (first_row, part.rows.1.min(first_row + ROWS));
                    let left = room(&mut left, (rows.1 - rows.0) * pairs);
                    self.pack_left(rows, block, left);
                    self.meet(rows, group, block, (left, right));
                }
            }
        }
        PACKED.set([left, right]);
    }

    /// Pairs of the rows of the left factor: row after row.
    fn pack_left(&self, rows: (usize, usize), block: (usize, usize), into: &mut [u32]) {
        let Matrix { elements, row_stride, column_stride } = self.left;
        let pairs = (block.1 - block.0).div_ceil(2);
        if column_stride == 1 {
            for (row, into) in (rows.0..rows.1).zip(into.chunks_exact_mut(pairs.max(1))) {
                let start = row * row_stride;
                pair_up(self.proof, &elements[start + block.0..start + block.1], into);
            }
            return;
        }
        // The transpose of a row-major matrix: two of its rows make the pairs of as many rows as they are long. They are
        // packed pair after pair, which is how a tile then reads them.
        let count = rows.1 - rows.0;
        for (pair, into) in into.chunks_exact_mut(count).enumerate() {
            let inner = block.0 + 2 * pair;
            let first = &elements[rows.0 + inner * column_stride..][..count];
            let second = (inner + 1 < block.1).then(|| &elements[rows.0 + (inner + 1) * column_stride..][..count]);
            interleave(self.proof, first, second, into);
        }
    }

    /// Pairs of the columns of the right factor: panel after panel, each with its pairs of rows side by side.
    fn pack_right(&self, group: &[Panel], block: (usize, usize), into: &mut [u32]) {
        let Matrix { elements, row_stride, column_stride } = self.right;
        let pairs = (block.1 - block.0).div_ceil(2);
        let mut rest = into;
        for panel in group {
            let (width, columns, first) = (panel.width(), panel.columns, panel.first_column);
            let (into, after) = rest.split_at_mut(width * pairs);
            rest = after;
            if column_stride == 1 {
                for (pair, into) in into.chunks_exact_mut(width).enumerate() {
                    let inner = block.0 + 2 * pair;
                    let row = &elements[first + inner * row_stride..][..columns];
                    let next = (inner + 1 < block.1).then(|| &elements[first + (inner + 1) * row_stride..][..columns]);
                    interleave(self.proof, row, next, &mut into[..columns]);
                    into[columns..].fill(0);
                }
            } else {
                pack_columns(
                    self.proof,
                    &elements[first * column_stride..],
                    column_stride,
                    columns,
                    block,
                    width,
                    into,
                );
            }
        }
    }

    /// Multiplies packed rows with packed panels.
    fn meet(&self, rows: (usize, usize), group: &[Panel], block: (usize, usize), packed: (&[u32], &[u32])) {
        let ((left, right), pairs, count) = (packed, (block.1 - block.0).div_ceil(2), rows.1 - rows.0);
        let (left_row, left_pair) = if self.left.column_stride == 1 { (pairs, 1) } else { (1, count) };
        let mut offset = 0;
        for panel in group {
            let (vectors, width) = (panel.vectors(), panel.width());
            let tall = Tile::max_rows(vectors);
            for row in (0..count).step_by(tall) {
                let tile = Tile {
                    rows: tall.min(count - row),
                    vectors,
                    last_columns: panel.columns - (vectors - 1) * LANES,
                    inner: pairs,
                    scale: self.scale,
                    accumulate: self.output == Output::Accumulate || block.0 > 0,
                };
                // SAFETY: the packed factors hold `count` by `pairs` and `pairs` by `width` pairs in the order given here;
                // the rows and columns of a part are its own, and lie inside the output.
                unsafe {
                    let at = Operands {
                        left: left.as_ptr().add(row * left_row),
                        left_row,
                        left_pair,
                        right: right[offset..offset + width * pairs].as_ptr(),
                        right_row: width,
                        into: self.into.add((rows.0 + row) * self.into_row + panel.first_column),
                        into_row: self.into_row,
                    };
                    compute_tile(self.proof, tile, at);
                }
            }
            offset += width * pairs;
        }
    }
}

/// Where the operands of a tile lie; as in [`super::avx512::Operands`], in pairs.
#[derive(Clone, Copy)]
struct Operands {
    left: *const u32,
    left_row: usize,
    left_pair: usize,
    right: *const u32,
    right_row: usize,
    into: *mut f32,
    into_row: usize,
}

/// Computes a tile, whose inner dimension is in pairs.
///
/// # Safety
/// As for [`super::avx512`]'s tiles.
unsafe fn compute_tile(_: Avx512Bf16, tile: Tile, at: Operands) {
    macro_rules! dispatch {
        ($($vectors:literal: $($rows:literal)*;)*) => {
            match (tile.vectors, tile.rows) {
                // SAFETY: the proof is of the instruction set; the rest is the caller's promise.
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

#[target_feature(enable = "avx512f,avx512bf16")]
#[expect(clippy::needless_range_loop, reason = "iterators and closures are not inlined here: see `super::avx512`")]
unsafe fn tile_of<const ROWS: usize, const VECTORS: usize>(tile: Tile, at: Operands) {
    // SAFETY: every address is one that the caller of `compute_tile` vouched for.
    unsafe {
        let mut rows = [at.left; ROWS];
        for row in 0..ROWS {
            rows[row] = at.left.add(row * at.left_row);
        }
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let (mut right, mut pair) = (at.right, 0);
        for _ in 0..tile.inner {
            let mut vectors = [pairs_of(_mm512_set1_epi32(0)); VECTORS];
            for index in 0..VECTORS {
                vectors[index] = pairs_of(_mm512_loadu_si512(right.add(index * LANES).cast()));
            }
            for row in 0..ROWS {
                let factor = pairs_of(_mm512_set1_epi32((*rows[row].add(pair)).cast_signed()));
                for index in 0..VECTORS {
                    sums[row][index] = _mm512_dpbf16_ps(sums[row][index], factor, vectors[index]);
                }
            }
            right = right.wrapping_add(at.right_row);
            pair += at.left_pair;
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

/// The same bits, as pairs of bfloat16.
#[inline(always)]
fn pairs_of(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes without invalid values.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// Rounds sixteen elements, each in the low half of 32 bits.
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(values: __m512) -> __m512i {
    let rounded = _mm512_cvtneps_pbh(values);
    // SAFETY: both are 32 bytes without invalid values.
    _mm512_cvtepu16_epi32(unsafe { std::mem::transmute::<__m256bh, __m256i>(rounded) })
}

/// Pairs of elements that stand in two rows, one below the other; zero where there is no second row.
fn interleave(_: Avx512Bf16, first: &[f32], second: Option<&[f32]>, into: &mut [u32]) {
    assert!(first.len() == into.len() && second.is_none_or(|second| second.len() == into.len()), "of one length");
    // SAFETY: the proof, and the assertion.
    unsafe { interleave_rows(first.as_ptr(), second.map_or(std::ptr::null(), <[f32]>::as_ptr), into) }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn interleave_rows(first: *const f32, second: *const f32, into: &mut [u32]) {
    for from in (0..into.len()).step_by(LANES) {
        let count = LANES.min(into.len() - from);
        let mask: __mmask16 = u16::MAX >> (LANES - count);
        // SAFETY: the rows are as long as `into`, and the mask ends where they do.
        unsafe {
            let mut pairs = rounded(_mm512_maskz_loadu_ps(mask, first.add(from)));
            if !second.is_null() {
                let high = rounded(_mm512_maskz_loadu_ps(mask, second.add(from)));
                pairs = _mm512_or_si512(pairs, _mm512_slli_epi32::<16>(high));
            }
            if count == LANES {
                _mm512_storeu_si512(into.as_mut_ptr().add(from).cast(), pairs);
            } else {
                let pairs = std::mem::transmute::<__m512i, [u32; LANES]>(pairs);
                into[from..].copy_from_slice(&pairs[..count]);
            }
        }
    }
}

/// Pairs of neighbours in a row; the last is filled up with zero.
fn pair_up(_: Avx512Bf16, row: &[f32], into: &mut [u32]) {
    assert_eq!(row.len().div_ceil(2), into.len(), "half as many pairs");
    // SAFETY: the proof, and the assertion.
    unsafe { pair_up_row(row, into) }
}

#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pair_up_row(row: &[f32], into: &mut [u32]) {
    let whole = row.len() / LANES * LANES;
    for from in (0..whole).step_by(LANES) {
        // SAFETY: sixteen elements of the row, which are eight pairs.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(row.as_ptr().add(from)));
            into.as_mut_ptr().add(from / 2).cast::<__m256bh>().write_unaligned(rounded);
        }
    }
    for from in (whole..row.len()).step_by(2) {
        let high = row.get(from + 1).map_or(0, |&high| to_bf16(high));
        into[from / 2] = u32::from(to_bf16(row[from])) | u32::from(high) << 16;
    }
}

/// Packs columns that are rows in memory, `stride` apart: pairs are made along them, and then transposed.
fn pack_columns(
    proof: Avx512Bf16,
    stored: &[f32],
    stride: usize,
    columns: usize,
    (from, to): (usize, usize),
    width: usize,
    into: &mut [u32],
) {
    thread_local! {
        static PAIRS: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
    }
    let pairs = (to - from).div_ceil(2);
    let mut buffer = PAIRS.take();
    let rows = room(&mut buffer, columns * pairs);
    for (column, row) in rows.chunks_exact_mut(pairs.max(1)).enumerate() {
        pair_up(proof, &stored[column * stride + from..column * stride + to], row);
    }
    // Moved about as floats, whose bits no move changes.
    let (rows, packed) = (bytemuck::cast_slice(rows), bytemuck::cast_slice_mut(into));
    super::transpose([columns, pairs], rows, pairs, packed, width);
    for row in into.chunks_exact_mut(width) {
        row[columns..].fill(0);
    }
    PAIRS.set(buffer);
}
