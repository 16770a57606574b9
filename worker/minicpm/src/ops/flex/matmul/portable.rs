//! Products by the `gemm` crate, for CPUs without AVX-512.

use gemm::Parallelism;

use super::{Matrix, MatrixMut, Output, Threads};

/// See [`super::multiply`], which has checked the bounds.
pub(super) fn multiply(
    [m, n, k]: [usize; 3],
    into: MatrixMut<'_>,
    output: Output,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    threads: Threads,
) {
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: the caller made sure that every element the strides reach lies inside its slice; `into` is borrowed
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
