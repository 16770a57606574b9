//! The trainer's own product of two square matrices.

use burn::tensor::{Device, Tensor};
use minicpm::{Compute, ops};

use super::operations::values;
use super::{MeasureError, Unit};

pub(super) struct Product {
    compute: Compute,
    left: Tensor<2>,
    right: Tensor<2>,
}

impl Product {
    pub(super) fn new(size: usize, threads: usize) -> Result<Self, MeasureError> {
        let tensor = |salt| values([size, size], salt, &Device::flex());
        Ok(Self { compute: Compute::parse("flex", threads)?, left: tensor(1), right: tensor(2) })
    }
}

impl Unit for Product {
    fn once(&mut self) -> Result<Option<f64>, MeasureError> {
        let Self { compute, left, right } = self;
        compute.install(|| drop(ops::product(left.clone(), right.clone())));
        Ok(None)
    }
}
