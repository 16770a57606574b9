//! AdamW in tensor operations, for any backend.

use std::collections::btree_map::Entry;

use burn::tensor::Tensor;

use super::{Coefficients, DeviceMoments, Moments};

/// The sum of squares of each row, for the caller to add up.
///
/// Not the sum of the whole tensor: GPUs accumulate that atomically in arbitrary order, so the last digits of the norm
/// would vary.
///
/// # Shapes
/// - returns `[rows]`, one for each position of all dimensions but the last.
pub(super) fn square_sums<const D: usize>(gradient: Tensor<D>) -> Tensor<1> {
    let rows: usize = gradient.dims()[..D - 1].iter().product();
    gradient.square().sum_dim(D - 1).reshape([rows])
}

pub(super) fn update<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    moments: Entry<'_, String, Moments>,
    with: Coefficients,
) -> Tensor<D> {
    let shape = parameter.dims();
    let count = shape.iter().product::<usize>();
    let parameter = parameter.reshape([count]);
    let gradient = gradient.reshape([count]).mul_scalar(with.gradient_scale);
    let zeros = || Tensor::<1>::zeros([count], &parameter.device());
    let moments =
        moments.or_insert_with(|| Moments::Device(Box::new(DeviceMoments { first: zeros(), second: zeros() })));
    let Moments::Device(moments) = moments else { unreachable!("a run keeps to one device") };
    let DeviceMoments { first, second } = moments.as_mut();
    *first = first.clone().mul_scalar(with.beta1) + gradient.clone().mul_scalar(1.0 - with.beta1);
    *second = second.clone().mul_scalar(with.beta2) + gradient.square().mul_scalar(1.0 - with.beta2);
    let scale = second.clone().sqrt().mul_scalar(with.second_scale).add_scalar(with.eps);
    let updated = parameter.mul_scalar(with.keep) - first.clone().mul_scalar(with.step_size) / scale;
    updated.reshape(shape)
}
