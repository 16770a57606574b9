//! Matrix products on slices.

use gemm::Parallelism;

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
    /// This one.
    One,
    /// All of the pool it runs on. The sums are the same: no inner dimension is split.
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
    let written = Matrix::rows(into.elements, into.row_stride);
    assert!(written.holds(m, n) && left.holds(m, k) && right.holds(k, n), "matrices lie inside their slices");
    assert!(n <= into.row_stride || m <= 1, "rows of the output do not overlap");
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: the assertions above keep every element that the strides reach inside its slice; `into` is borrowed
    // mutably, so it overlaps neither factor.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            into.elements.as_mut_ptr(),
            1,
            into.row_stride as isize,
            output == Output::Accumulate,
            left.elements.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.elements.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}
