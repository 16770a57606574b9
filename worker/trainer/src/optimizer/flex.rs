//! AdamW on the CPU backend, in place.

use std::collections::btree_map::Entry;

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use minicpm::simd::{Simd, for_chunks, kernel};
use rayon::prelude::*;

use super::{Coefficients, Moments};

/// Elements per task. Sums are taken over pieces of this size in their order, so the number of threads does not affect
/// them.
const PIECE: usize = 1 << 14;

pub(super) fn square_sum<const D: usize>(gradient: Tensor<D>) -> f64 {
    let gradient = contiguous(gradient);
    let squares = |piece: &[f32]| f64::from(inner_product(piece, piece));
    let pieces: Vec<f64> = gradient.storage::<f32>().par_chunks(PIECE).map(squares).collect();
    pieces.iter().sum()
}

pub(super) fn update<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: Entry<'_, String, Moments>,
    with: Coefficients,
) -> Tensor<D> {
    let mut parameter = contiguous(parameter);
    let gradient = contiguous(gradient);
    let count = gradient.storage::<f32>().len();
    let moments = moments.or_insert_with(|| Moments::Host { first: vec![0.0; count], second: vec![0.0; count] });
    let Moments::Host { first, second } = moments else { unreachable!("a run keeps to one device") };
    let state = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
    let pieces = parameter.storage_mut::<f32>().par_chunks_mut(PIECE);
    pieces
        .zip(gradient.storage::<f32>().par_chunks(PIECE))
        .zip(state)
        .for_each(|((parameter, gradient), (first, second))| adamw(parameter, gradient, first, second, with));
    Tensor::from_primitive::<Flex>(parameter)
}

kernel! {
    /// Updates a piece of a parameter and of its moments.
    fn adamw(
        parameter: &mut [f32],
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        with: Coefficients,
    ) = adamw_with;
}

#[inline(always)]
fn adamw_with<S: Simd>(
    simd: S,
    parameter: &mut [f32],
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    with: Coefficients,
) {
    let (beta1, beta2) = (simd.splat(with.beta1), simd.splat(with.beta2));
    let (new1, new2) = (simd.splat(1.0 - with.beta1), simd.splat(1.0 - with.beta2));
    let (gradient_scale, second_scale) = (simd.splat(with.gradient_scale), simd.splat(with.second_scale));
    let (eps, keep, step_size) = (simd.splat(with.eps), simd.splat(with.keep), simd.splat(with.step_size));
    for_chunks!(gradient.len(), chunk => {
        let gradient = simd.mul(chunk.load(simd, gradient), gradient_scale);
        let m = simd.mul_add(beta1, chunk.load(simd, first), simd.mul(new1, gradient));
        let v = simd.mul_add(beta2, chunk.load(simd, second), simd.mul(new2, simd.mul(gradient, gradient)));
        chunk.store(simd, first, m);
        chunk.store(simd, second, v);
        let scale = simd.mul_add(simd.sqrt(v), second_scale, eps);
        let kept = simd.mul(chunk.load(simd, parameter), keep);
        chunk.store(simd, parameter, simd.sub(kept, simd.div(simd.mul(step_size, m), scale)));
    });
}

kernel! {
    fn inner_product(a: &[f32], b: &[f32]) -> f32 = Simd::dot;
}

/// The tensor with its elements in row-major order; copies only if necessary.
fn contiguous<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let tensor = tensor.try_into_primitive::<Flex>().expect("the caller checked the device");
    if tensor.as_slice::<f32>().is_some_and(|elements| elements.len() == tensor.storage::<f32>().len()) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}
