//! A product cut into tiles that find their operands in the caches.
//!
//! The columns of the right factor are taken in *panels* as wide as a tile, the inner dimension in blocks, and the rows
//! of the left factor in blocks of tiles. A group of panels is packed (its rows side by side, transposed where it has to
//! be) and then meets all rows. The left factor is never copied: a tile broadcasts its elements one by one, so their
//! order in memory is all the same to it.

use std::cell::Cell;

use rayon::prelude::*;

use super::avx512::{MAX_VECTORS, Operands, Tile};
use super::{Matrix, MatrixMut, Output, Threads, transpose};
use crate::simd::{Avx512, LANES};

/// The inner dimension of a block, at most. Part of the result: sums of blocks are added to each other.
const INNER: usize = 512;
/// Columns packed at once, at most: with [`INNER`] rows they fill a good part of a second-level cache.
const COLUMNS: usize = 768;
/// Elements between the first and the last row of a block that is read where it lies, at most.
const READ_DIRECTLY: usize = 1 << 15;
/// Rows that meet a panel before the next one: what they read of the left factor stays in the second-level cache.
const ROWS: usize = 128;
/// Columns that are worth a task of their own, because their panels need not be packed by another one as well.
const COLUMNS_PER_TASK: usize = 128;
/// Multiplications that are worth a task.
const WORK_PER_TASK: usize = 1 << 19;

/// The factors and the output of a product, without the lengths of their slices, which the caller has checked.
#[derive(Clone, Copy)]
struct Product<'a> {
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

/// A rectangle of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) rows: (usize, usize),
    pub(super) columns: (usize, usize),
}

/// Some columns as wide as a tile, or as narrow as what is left.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub(super) first_column: usize,
    pub(super) columns: usize,
}

impl Panel {
    pub(super) fn vectors(self) -> usize {
        self.columns.div_ceil(LANES)
    }

    /// Elements of one of its packed rows.
    pub(super) fn width(self) -> usize {
        self.vectors() * LANES
    }
}

/// See [`super::multiply`], which has checked the bounds.
#[expect(clippy::too_many_arguments, reason = "those of `multiply`, and the proof")]
pub(super) fn multiply(
    avx512: Avx512,
    [m, n, k]: [usize; 3],
    into: MatrixMut<'_>,
    output: Output,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    threads: Threads,
) {
    let (into, into_row) = (into.elements.as_mut_ptr(), into.row_stride);
    let product = Product { left, right, into, into_row, inner: k, output, scale };
    let threads = match threads {
        Threads::One => 1,
        Threads::All => rayon::current_num_threads(),
    };
    match parts([m, n, k], threads).as_slice() {
        [whole] => product.compute(avx512, *whole),
        parts => {
            let product = &product;
            parts.par_iter().with_max_len(1).for_each(|part| product.compute(avx512, *part));
        }
    }
}

/// Cuts the output into parts for this many threads.
pub(super) fn parts([m, n, k]: [usize; 3], threads: usize) -> Vec<Part> {
    let whole = Part { rows: (0, m), columns: (0, n) };
    let worth = (m * n * k / WORK_PER_TASK).max(1);
    if threads == 1 || worth == 1 {
        return vec![whole];
    }
    // Twice as many as threads: a thread that is held up does not hold up the others for half of the work.
    let tasks = (2 * threads).min(worth);
    let across = (n / COLUMNS_PER_TASK).clamp(1, tasks);
    let down = tasks.div_ceil(across).min(m.div_ceil(LANES));
    let cut = |length: usize, count: usize, index: usize| {
        // At whole vectors, so that no tile becomes narrower than it must.
        let at = |index: usize| (length * index / count).next_multiple_of(LANES).min(length);
        (at(index), if index + 1 == count { length } else { at(index + 1) })
    };
    let part = |index: usize| Part { rows: cut(m, down, index / across), columns: cut(n, across, index % across) };
    (0..down * across).map(part).collect()
}

thread_local! {
    /// Packed panels, kept from product to product.
    static PACKED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

impl Product<'_> {
    fn compute(&self, avx512: Avx512, part: Part) {
        if self.inner == 0 {
            return self.clear(part);
        }
        let mut packed = PACKED.take();
        let panels = panels(part.columns);
        let blocks = self.inner.div_ceil(INNER);
        let length = self.inner.div_ceil(blocks);
        for first in (0..self.inner).step_by(length) {
            let block = (first, self.inner.min(first + length));
            for group in panels.chunks(COLUMNS / (MAX_VECTORS * LANES)) {
                let directly = self.is_usable_directly(group, block);
                if !directly {
                    self.pack(group, block, &mut packed);
                }
                self.meet_rows(avx512, part, block, group, (!directly).then_some(&packed));
            }
        }
        PACKED.set(packed);
    }

    /// A product of nothing is zero.
    fn clear(&self, part: Part) {
        if self.output == Output::Accumulate {
            return;
        }
        for row in part.rows.0..part.rows.1 {
            for column in part.columns.0..part.columns.1 {
                // SAFETY: the element belongs to this part of the output.
                unsafe { *self.into.add(row * self.into_row + column) = 0.0 };
            }
        }
    }

    /// Whether tiles can read a block of the right factor where it lies: its columns stand side by side, its rows close
    /// enough together for the caches, and there is something to read beyond the last column of a panel.
    fn is_usable_directly(&self, group: &[Panel], (from, to): (usize, usize)) -> bool {
        let end = |panel: &Panel| (to - 1) * self.right.row_stride + panel.first_column + panel.width();
        self.right.column_stride == 1
            && (to - from) * self.right.row_stride <= READ_DIRECTLY
            && group.last().is_none_or(|panel| end(panel) <= self.right.elements.len())
    }

    /// Copies panels into `packed`, one after the other, each with its rows side by side.
    fn pack(&self, group: &[Panel], (from, to): (usize, usize), packed: &mut Vec<f32>) {
        let inner = to - from;
        let length: usize = group.iter().map(|panel| panel.width() * inner).sum();
        if packed.len() < length {
            packed.resize(length, 0.0);
        }
        let mut rest = packed.as_mut_slice();
        for panel in group {
            let (into, after) = rest.split_at_mut(panel.width() * inner);
            rest = after;
            if self.right.column_stride == 1 {
                self.pack_rows(*panel, from, into);
            } else {
                self.pack_columns(*panel, (from, to), into);
            }
        }
    }

    fn pack_rows(&self, panel: Panel, from: usize, into: &mut [f32]) {
        let Panel { first_column, columns } = panel;
        for (row, into) in into.chunks_exact_mut(panel.width()).enumerate() {
            let start = (from + row) * self.right.row_stride + first_column;
            into[..columns].copy_from_slice(&self.right.elements[start..start + columns]);
            into[columns..].fill(0.0);
        }
    }

    /// Where the columns of the right factor are rows in memory.
    fn pack_columns(&self, panel: Panel, (from, to): (usize, usize), into: &mut [f32]) {
        let Panel { first_column, columns } = panel;
        let start = from + first_column * self.right.column_stride;
        let stored = &self.right.elements[start..];
        transpose([columns, to - from], stored, self.right.column_stride, into, panel.width());
        for row in into.chunks_exact_mut(panel.width()) {
            row[columns..].fill(0.0);
        }
    }

    /// Multiplies all rows of a part with a group of panels.
    fn meet_rows(
        &self,
        avx512: Avx512,
        part: Part,
        (from, to): (usize, usize),
        group: &[Panel],
        packed: Option<&Vec<f32>>,
    ) {
        let (inner, left, right) = (to - from, self.left, self.right);
        let accumulate = self.output == Output::Accumulate || from > 0;
        for first_row in (part.rows.0..part.rows.1).step_by(ROWS) {
            let last_row = part.rows.1.min(first_row + ROWS);
            let mut offset = 0;
            for panel in group {
                let (vectors, width) = (panel.vectors(), panel.width());
                let (right, right_row) = match packed {
                    Some(packed) => (packed[offset..offset + inner * width].as_ptr(), width),
                    None => (right.elements[from * right.row_stride + panel.first_column..].as_ptr(), right.row_stride),
                };
                offset += inner * width;
                for row in (first_row..last_row).step_by(Tile::max_rows(vectors)) {
                    let tile = Tile {
                        rows: Tile::max_rows(vectors).min(last_row - row),
                        vectors,
                        last_columns: panel.columns - (vectors - 1) * LANES,
                        inner,
                        scale: self.scale,
                        accumulate,
                    };
                    // SAFETY: `super::multiply` has made sure that the strides stay inside the factors and the output;
                    // the rows and columns of a part are its own; packed panels consist of whole vectors, and panels
                    // are read directly only where their last vector ends inside the factor.
                    unsafe {
                        let at = Operands {
                            left: left.elements.as_ptr().add(row * left.row_stride + from * left.column_stride),
                            left_row: left.row_stride,
                            left_column: left.column_stride,
                            right,
                            right_row,
                            into: self.into.add(row * self.into_row + panel.first_column),
                            into_row: self.into_row,
                        };
                        avx512.tile(tile, at);
                    }
                }
            }
        }
    }
}

/// Transposes as much of a matrix as consists of whole blocks of 16 by 16, and says how much that is. The caller has
/// checked the bounds.
pub(super) fn transpose_whole_blocks(
    avx512: Avx512,
    size: [usize; 2],
    from: &[f32],
    from_stride: usize,
    into: &mut [f32],
    into_stride: usize,
) -> [usize; 2] {
    let [rows, columns] = size.map(|length| length / LANES * LANES);
    for row in (0..rows).step_by(LANES) {
        for column in (0..columns).step_by(LANES) {
            let from = &from[row * from_stride + column..];
            let into = &mut into[column * into_stride + row..];
            assert!((LANES - 1) * from_stride + LANES <= from.len() && (LANES - 1) * into_stride + LANES <= into.len());
            // SAFETY: the assertion.
            unsafe { avx512.transpose(from.as_ptr(), from_stride, into.as_mut_ptr(), into_stride) };
        }
    }
    [rows, columns]
}

/// Columns in panels of about equal width, as few as there can be.
pub(super) fn panels((from, to): (usize, usize)) -> Vec<Panel> {
    let vectors = (to - from).div_ceil(LANES);
    let count = vectors.div_ceil(MAX_VECTORS);
    let at = |index: usize| to.min(from + vectors * index / count * LANES);
    (0..count).map(|index| Panel { first_column: at(index), columns: at(index + 1) - at(index) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_output_once() {
        for shape in [[2048, 960, 320], [1024, 64, 64], [33, 4096, 320], [320, 1600, 2048], [17, 5, 4000]] {
            for threads in [1, 2, 3, 16] {
                let [m, n, _] = shape;
                let mut covered = vec![0; m * n];
                for Part { rows, columns } in parts(shape, threads) {
                    for row in rows.0..rows.1 {
                        covered[row * n + columns.0..row * n + columns.1].iter_mut().for_each(|count| *count += 1);
                    }
                }
                assert!(covered.iter().all(|&count| count == 1), "{shape:?} for {threads} threads");
            }
        }
    }

    #[test]
    fn panels_cover_the_columns_once() {
        for columns in [(0, 1), (0, 16), (0, 80), (16, 160), (32, 997)] {
            let mut next = columns.0;
            for panel in panels(columns) {
                assert_eq!(panel.first_column, next);
                assert!(panel.columns > 0 && panel.vectors() <= MAX_VECTORS);
                next += panel.columns;
            }
            assert_eq!(next, columns.1);
        }
    }
}
