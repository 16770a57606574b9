//! Getting at the memory of a tensor.

use std::sync::Arc;

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

/// The tensor with its elements in row-major order and nothing between them; copies only where it must.
pub(super) fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor.clone() } else { tensor.to_contiguous() }
}

/// The elements of a tensor that went through [`contiguous`].
pub(super) fn elements(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("fused kernels are given contiguous 32-bit floats")
}

/// The elements of a tensor that went through [`contiguous`], to be overwritten: copies them only where something else
/// still holds the tensor.
pub(super) fn elements_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    if elements(tensor).len() != tensor.storage::<f32>().len() {
        *tensor = tensor.to_contiguous();
    }
    tensor.storage_mut()
}

/// Dimensions of a tensor of rank `D`.
pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    std::array::from_fn(|axis| tensor.layout().shape()[axis])
}

/// Token indices. Their range is checked where they are used.
pub(super) fn indices(tensor: &FlexTensor) -> Arc<[usize]> {
    let tensor = tensor.to_contiguous();
    let index = |value: i64| usize::try_from(value).expect("token indices are not negative");
    match tensor.dtype() {
        DType::I32 => tensor.storage::<i32>().iter().map(|&value| index(value.into())).collect(),
        DType::I64 => tensor.storage::<i64>().iter().map(|&value| index(value)).collect(),
        other => panic!("token indices are 32 or 64-bit integers, not {other:?}"),
    }
}

/// A tensor of these elements.
pub(super) fn tensor<const D: usize>(shape: [usize; D], elements: Vec<f32>) -> FlexTensor {
    debug_assert_eq!(elements.len(), shape.iter().product::<usize>());
    FlexTensor::new(Bytes::from_elems(elements), Layout::contiguous(Shape::from(shape.to_vec())), DType::F32)
}

/// A vector whose elements are still to be written, every one, before any is read.
///
/// Zeroing outputs first costs a pass over memory for nothing.
#[allow(clippy::uninit_vec)]
pub(super) fn unwritten(len: usize) -> Vec<f32> {
    let mut elements = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`, and any bit pattern is an f32. The memory is not initialised yet, which is why
    // this is private to the kernels: each of them writes all of its output, and their tests compare all of it.
    unsafe { elements.set_len(len) };
    elements
}
