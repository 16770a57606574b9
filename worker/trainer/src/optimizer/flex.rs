//! AdamW on the CPU backend, in place.

use std::collections::btree_map::Entry;

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use multiversion::multiversion;
use rayon::prelude::*;

use super::{Coefficients, Moments};

/// Elements one task works on. Sums are taken over pieces of this size in their order, so the number of threads does not
/// change them.
const PIECE: usize = 1 << 14;

/// Partial sums that do not wait for each other; a fixed number, because it is part of the result.
const LANES: usize = 32;

pub(super) fn square_sum<const D: usize>(gradient: Tensor<D>) -> f64 {
    let gradient = contiguous(gradient);
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

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn adamw(parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32], with: Coefficients) {
    let moments = first.iter_mut().zip(second);
    for ((parameter, gradient), (first, second)) in parameter.iter_mut().zip(gradient).zip(moments) {
        let gradient = gradient * with.gradient_scale;
        *first = with.beta1 * *first + (1.0 - with.beta1) * gradient;
        *second = with.beta2 * *second + (1.0 - with.beta2) * (gradient * gradient);
        let scale = second.sqrt() * with.second_scale + with.eps;
        *parameter = *parameter * with.keep - with.step_size * *first / scale;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw+avx2+fma", "x86_64+avx2+fma"))]
fn squares(values: &[f32]) -> f64 {
    let mut sums = [0.0f32; LANES];
    let whole = values.chunks_exact(LANES);
    let rest: f32 = whole.remainder().iter().map(|value| value * value).sum();
    for chunk in whole {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    sums.iter().map(|&sum| f64::from(sum)).sum::<f64>() + f64::from(rest)
}

/// The tensor with its elements in row-major order; copies only where it must.
fn contiguous<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let tensor = tensor.try_into_primitive::<Flex>().expect("the caller checked the device");
    if tensor.as_slice::<f32>().is_some_and(|elements| elements.len() == tensor.storage::<f32>().len()) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}
