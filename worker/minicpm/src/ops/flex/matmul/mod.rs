//! Matrix products on slices.
//!
//! Most of a step's time is spent here. On a CPU with AVX-512 the products are our own: [`avx512`] has the tile that is
//! kept in registers, [`blocked`] cuts a product into tiles that stay in the caches, and [`bf16`] does both for bfloat16.
//! The left factor is read where it lies, and the right one is packed once for all rows, or not at all. Elsewhere the
//! `gemm` crate computes them, which in 32 bits is about as fast.
//!
//! The sum behind an element is taken in one order, which depends on the inner dimension alone: neither the number of
//! threads nor the way a product is cut changes a bit.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod bf16;
#[cfg(target_arch = "x86_64")]
mod blocked;
mod portable;

use vocabulary::Precision;

#[cfg(target_arch = "x86_64")]
use crate::simd::Avx512;

/// A matrix that lies in a slice with any two strides, so that transposed and interleaved ones need no copy.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    elements: &'a [f32],
    row_stride: usize,
    column_stride: usize,
}

/// A row-major matrix to write to.
pub(super) struct MatrixMut<'a> {
    elements: &'a mut [f32],
    row_stride: usize,
}

/// What happens to the values that the product is written over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// They are lost, and need not have been initialised.
    Overwrite,
    /// The product is added to them.
    Accumulate,
}

/// Whether a product may use several threads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    One,
    /// All of the pool it runs on.
    All,
}

impl<'a> Matrix<'a> {
    /// Rows one after the other, `row_stride` apart.
    pub(super) fn rows(elements: &'a [f32], row_stride: usize) -> Self {
        Self { elements, row_stride, column_stride: 1 }
    }

    /// The transpose of [`Matrix::rows`].
    pub(super) fn columns(elements: &'a [f32], column_stride: usize) -> Self {
        Self { elements, row_stride: 1, column_stride }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = rows.saturating_sub(1) * self.row_stride + columns.saturating_sub(1) * self.column_stride;
        rows * columns == 0 || last < self.elements.len()
    }
}

impl<'a> MatrixMut<'a> {
    /// Rows one after the other, `row_stride` apart.
    pub(super) fn rows(elements: &'a mut [f32], row_stride: usize) -> Self {
        Self { elements, row_stride }
    }
}

/// `into (+)= scale * left * right`, with `left` of m rows and k columns and `right` of k rows and n columns.
pub(super) fn multiply(
    [m, n, k]: [usize; 3],
    into: MatrixMut<'_>,
    output: Output,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    threads: Threads,
) {
    multiply_in(Precision::Fp32, [m, n, k], into, output, left, right, scale, threads);
}

/// As [`multiply`], with factors rounded to bfloat16 where that is the precision: twice as fast where the CPU has
/// instructions for it, slower elsewhere. Sums are of 32 bits either way.
#[expect(clippy::too_many_arguments, reason = "those of `multiply`, and the precision")]
pub(super) fn multiply_in(
    precision: Precision,
    [m, n, k]: [usize; 3],
    into: MatrixMut<'_>,
    output: Output,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    threads: Threads,
) {
    let written = Matrix::rows(into.elements, into.row_stride);
    assert!(written.holds(m, n) && left.holds(m, k) && right.holds(k, n), "matrices lie inside their slices");
    assert!(n <= into.row_stride || m <= 1, "rows of the output do not overlap");
    if m * n == 0 {
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if precision == Precision::Bf16
        && let Some(proof) = bf16::Avx512Bf16::detect()
    {
        return bf16::multiply(proof, [m, n, k], into, output, left, right, scale, threads);
    }
    if precision == Precision::Bf16 {
        let (left, right) = (Rounded::new(left, [m, k]), Rounded::new(right, [k, n]));
        return multiply([m, n, k], into, output, left.matrix(), right.matrix(), scale, threads);
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = Avx512::detect() {
        return blocked::multiply(avx512, [m, n, k], into, output, left, right, scale, threads);
    }
    portable::multiply([m, n, k], into, output, left, right, scale, threads);
}

/// A copy of a matrix, rounded to bfloat16.
struct Rounded {
    elements: Vec<f32>,
    row_stride: usize,
    column_stride: usize,
}

impl Rounded {
    fn new(matrix: Matrix<'_>, [rows, columns]: [usize; 2]) -> Self {
        let Matrix { elements, row_stride, column_stride } = matrix;
        let used = rows.saturating_sub(1) * row_stride + columns.saturating_sub(1) * column_stride + 1;
        let elements = elements.iter().take(used).map(|&value| f32::from_bits(u32::from(to_bf16(value)) << 16));
        Self { elements: elements.collect(), row_stride, column_stride }
    }

    fn matrix(&self) -> Matrix<'_> {
        Matrix { elements: &self.elements, row_stride: self.row_stride, column_stride: self.column_stride }
    }
}

/// The nearest bfloat16, the even one of two, as the instructions have it: subnormal numbers are zero.
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    if value.is_subnormal() {
        return (bits >> 16) as u16 & 0x8000;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Copies a matrix of so many rows and columns, transposed.
pub(super) fn transpose(
    [rows, columns]: [usize; 2],
    from: &[f32],
    from_stride: usize,
    into: &mut [f32],
    into_stride: usize,
) {
    assert!(Matrix::rows(from, from_stride).holds(rows, columns), "the matrix lies inside its slice");
    assert!(Matrix::rows(into, into_stride).holds(columns, rows), "there is room for the transpose");
    #[cfg(target_arch = "x86_64")]
    let whole = match Avx512::detect() {
        Some(avx512) => blocked::transpose_whole_blocks(avx512, [rows, columns], from, from_stride, into, into_stride),
        None => [0, 0],
    };
    #[cfg(not(target_arch = "x86_64"))]
    let whole = [0, 0];
    for row in 0..rows {
        let done = if row < whole[0] { whole[1] } else { 0 };
        for column in done..columns {
            into[column * into_stride + row] = from[row * from_stride + column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize, salt: u32) -> Vec<f32> {
        let value = |index: usize| ((index as u32).wrapping_mul(2_654_435_761).wrapping_add(salt * 97) >> 8) as f32;
        (0..count).map(|index| value(index) / 8_388_608.0 - 1.0).collect()
    }

    /// A stored matrix, and how it is read.
    struct Case {
        elements: Vec<f32>,
        stride: usize,
        transposed: bool,
    }

    impl Case {
        /// Of `rows` and `columns` as read, with a few unused elements between the stored rows.
        fn new(rows: usize, columns: usize, transposed: bool, salt: u32) -> Self {
            let (stored_rows, stored_columns) = if transposed { (columns, rows) } else { (rows, columns) };
            let stride = stored_columns + 3;
            Self { elements: values(stored_rows * stride, salt), stride, transposed }
        }

        fn matrix(&self) -> Matrix<'_> {
            if self.transposed {
                Matrix::columns(&self.elements, self.stride)
            } else {
                Matrix::rows(&self.elements, self.stride)
            }
        }

        fn rounded(mut self) -> Self {
            self.elements.iter_mut().for_each(|value| *value = f32::from_bits(u32::from(to_bf16(*value)) << 16));
            self
        }

        fn at(&self, row: usize, column: usize) -> f64 {
            let (row, column) = if self.transposed { (column, row) } else { (row, column) };
            f64::from(self.elements[row * self.stride + column])
        }
    }

    fn check(shape: [usize; 3], transposed: [bool; 2], threads: Threads, output: Output) {
        for precision in [Precision::Fp32, Precision::Bf16] {
            check_in(precision, shape, transposed, threads, output);
        }
    }

    fn check_in(precision: Precision, [m, n, k]: [usize; 3], transposed: [bool; 2], threads: Threads, output: Output) {
        let (left, right) = (Case::new(m, k, transposed[0], 1), Case::new(k, n, transposed[1], 2));
        let stride = n + 2;
        let before = values(m * stride, 3);
        let mut into = before.clone();
        let rows = MatrixMut::rows(&mut into, stride);
        multiply_in(precision, [m, n, k], rows, output, left.matrix(), right.matrix(), 0.5, threads);
        let (left, right) = match precision {
            Precision::Fp32 => (left, right),
            Precision::Bf16 => (left.rounded(), right.rounded()),
        };
        for row in 0..m {
            for column in 0..stride {
                let (found, before) = (f64::from(into[row * stride + column]), before[row * stride + column]);
                if column >= n {
                    assert_eq!(found, f64::from(before), "what lies between rows is left alone");
                    continue;
                }
                let sum: f64 = (0..k).map(|inner| left.at(row, inner) * right.at(inner, column)).sum();
                let size: f64 = (0..k).map(|inner| (left.at(row, inner) * right.at(inner, column)).abs()).sum();
                let start = if output == Output::Accumulate { f64::from(before) } else { 0.0 };
                let allowed = 1e-6 * (size + start.abs()) + 1e-12;
                let expected = start + 0.5 * sum;
                assert!((found - expected).abs() <= allowed, "{m} x {n} x {k} at {row}, {column}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn every_shape_of_tile_is_right() {
        for m in [1, 2, 5, 6, 7, 8, 11, 12, 13, 27] {
            for n in [1, 15, 16, 17, 32, 33, 48, 50, 64, 65, 80, 129] {
                for transposed in [[false, false], [true, false], [false, true], [true, true]] {
                    check([m, n, 19], transposed, Threads::One, Output::Overwrite);
                }
            }
        }
    }

    #[test]
    fn every_cut_is_right() {
        // Beyond a block in each direction in turn.
        for shape in [[3, 2, 0], [300, 20, 5], [9, 1700, 7], [10, 40, 1100], [131, 900, 600], [1, 1, 1025]] {
            for transposed in [[false, false], [true, false], [false, true]] {
                for threads in [Threads::One, Threads::All] {
                    check(shape, transposed, threads, Output::Overwrite);
                    check(shape, transposed, threads, Output::Accumulate);
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest() {
        for (value, bits) in [(1.0, 0x3f80), (-2.0, 0xc000), (1.0 + 1.0 / 256.0, 0x3f80), (1.0 + 3.0 / 256.0, 0x3f82)] {
            assert_eq!(to_bf16(value), bits, "{value}");
        }
        assert_eq!(to_bf16(1e-40), 0);
        assert_eq!(to_bf16(f32::INFINITY), 0x7f80);
        assert!(f32::from_bits(u32::from(to_bf16(f32::NAN)) << 16).is_nan());
    }

    #[test]
    fn transposes_of_all_sizes_are_right() {
        for [rows, columns] in [[1, 1], [16, 16], [17, 40], [40, 15], [64, 33]] {
            let case = Case::new(rows, columns, false, 5);
            let mut into = vec![0.0; columns * (rows + 1)];
            transpose([rows, columns], &case.elements, case.stride, &mut into, rows + 1);
            for row in 0..rows {
                for column in 0..columns {
                    assert_eq!(f64::from(into[column * (rows + 1) + row]), case.at(row, column));
                }
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (left, right) = (values(517 * 700, 1), values(700 * 333, 2));
        let product = |precision: Precision, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("starts");
            let mut into = vec![0.0; 517 * 333];
            pool.install(|| {
                multiply_in(
                    precision,
                    [517, 333, 700],
                    MatrixMut::rows(&mut into, 333),
                    Output::Overwrite,
                    Matrix::rows(&left, 700),
                    Matrix::rows(&right, 333),
                    1.0,
                    Threads::All,
                );
            });
            into
        };
        for precision in [Precision::Fp32, Precision::Bf16] {
            let one = product(precision, 1);
            for threads in [2, 3, 7] {
                assert!(product(precision, threads) == one, "{precision:?}, {threads} threads");
            }
        }
    }
}
