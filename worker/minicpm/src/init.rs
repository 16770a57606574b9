//! Initial values: a pure function of the seed and the parameter's path, on every device.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use vocabulary::{ModelSpec, ParamGroup};

/// Creates parameters with the shapes and initial values of the spec's table ([`ModelSpec::param_groups`]).
///
/// Each parameter has its own random stream, so that its values depend neither on the order of construction nor on the
/// other parameters.
#[derive(Debug, Clone)]
pub struct Initializer {
    table: Vec<ParamGroup>,
    seed: u64,
}

impl Initializer {
    /// The initial values of a model under a seed.
    #[must_use]
    pub fn new(spec: &ModelSpec, seed: u64) -> Self {
        Self { table: spec.param_groups(), seed }
    }

    /// The parameter of a path, which must be in the table.
    ///
    /// # Shapes
    /// - returns the shape of its row.
    pub(crate) fn parameter<const D: usize>(&self, path: &str, device: &Device) -> Param<Tensor<D>> {
        let row = self.table.iter().find(|row| row.holds(path));
        let row = row.unwrap_or_else(|| panic!("the table of parameters has no `{path}`"));
        assert_eq!(row.shape.len(), D, "the rank of `{path}`");
        let shape = std::array::from_fn(|axis| row.shape[axis] as usize);
        Param::from_tensor(match row.init_std {
            Some(std) => self.normal(path, shape, std, device),
            None => Tensor::ones(shape, device),
        })
    }

    /// Normal values of mean zero and this standard deviation.
    fn normal<const D: usize>(&self, path: &str, shape: [usize; D], std: f64, device: &Device) -> Tensor<D> {
        let mut hasher = blake3::Hasher::new_derive_key("windtunnel 2026-11 initial values");
        hasher.update(&self.seed.to_le_bytes()).update(path.as_bytes());
        let mut rng = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
        let draw = |_| {
            let value: f64 = StandardNormal.sample(&mut rng);
            (value * std) as f32
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(seed: u64, path: &str) -> Vec<f32> {
        let tensor = Initializer::new(&vocabulary::sample::model(), seed).normal(path, [64, 64], 0.1, &Device::flex());
        tensor.into_data().try_into_vec::<f32>().expect("f32")
    }

    #[test]
    fn values_depend_on_seed_and_path_alone() {
        assert_eq!(values(1, "a"), values(1, "a"));
        assert_ne!(values(1, "a"), values(2, "a"));
        assert_ne!(values(1, "a"), values(1, "b"));
    }

    #[test]
    fn values_have_the_standard_deviation_asked_for() {
        let values = values(3, "a");
        let mean_square = values.iter().map(|value| f64::from(value * value)).sum::<f64>() / values.len() as f64;
        assert!((mean_square.sqrt() / 0.1 - 1.0).abs() < 0.04, "{}", mean_square.sqrt());
    }
}
