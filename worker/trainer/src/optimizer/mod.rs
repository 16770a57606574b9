//! AdamW with decoupled weight decay, a learning rate per parameter group, and clipping by the global norm.
//!
//! For a parameter p with gradient g at step t, counted from 1, with the learning rate eta of its group:
//!
//! ```text
//! g <- g * min(1, clip_norm / (|g of all parameters| + 1e-6))
//! m <- beta1 m + (1 - beta1) g
//! v <- beta2 v + (1 - beta2) g^2
//! p <- p (1 - eta weight_decay) - eta / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
//! ```
//!
//! On the CPU backend everything happens in place, in two passes over memory: `flex`. Elsewhere the same formula runs
//! in tensor operations: `plain`. Moments are stored by parameter name, so that a checkpoint can hold them.

mod flex;
mod plain;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use minicpm::MiniCpm;
use vocabulary::{AdamW, ModelSpec, ParamGroup};

use crate::parameters::{Path, host};

/// The optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    settings: AdamW,
    /// How each parameter is trained.
    table: Vec<ParamGroup>,
    moments: BTreeMap<String, Moments>,
}

/// First and second moment of one parameter, in row-major order.
#[derive(Debug)]
enum Moments {
    /// In host memory, for the CPU backend.
    Host { first: Vec<f32>, second: Vec<f32> },
    /// On the parameter's device.
    Device(Box<DeviceMoments>),
}

#[derive(Debug)]
struct DeviceMoments {
    first: Tensor<1>,
    second: Tensor<1>,
}

/// The coefficients of one parameter's update.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Coefficients {
    /// Factor of the gradients, for clipping.
    gradient_scale: f32,
    beta1: f32,
    beta2: f32,
    /// 1 - eta * weight_decay.
    keep: f32,
    /// eta / (1 - beta1^t).
    step_size: f32,
    /// 1 / sqrt(1 - beta2^t).
    second_scale: f32,
    eps: f32,
}

impl Optimizer {
    /// An optimiser that has not seen a gradient.
    #[must_use]
    pub fn new(settings: AdamW, model: &ModelSpec) -> Self {
        Self { settings, table: model.param_groups(), moments: BTreeMap::new() }
    }

    /// Updates a model and returns it with the global L2 norm of the gradient before clipping.
    ///
    /// `learning_rate` is the schedule's, before the multiplier of a group; `steps_done` the number of updates before
    /// this one, counted from the root.
    #[must_use]
    pub fn step(
        &mut self,
        model: MiniCpm,
        gradients: GradientsParams,
        learning_rate: f64,
        steps_done: u64,
    ) -> (MiniCpm, f64) {
        let norm = global_norm(&model, &gradients);
        // A norm that is not finite turns every weight into NaN, which shows in the next loss.
        let gradient_scale = (self.settings.clip_norm / (norm + 1e-6)).min(1.0);
        let mut update =
            Update { optimizer: self, gradients, path: Path::default(), gradient_scale, learning_rate, steps_done };
        (model.map(&mut update), norm)
    }

    /// The update of the parameter with this path.
    fn coefficients(&self, path: &str, gradient_scale: f64, learning_rate: f64, steps_done: u64) -> Coefficients {
        let AdamW { beta1, beta2, eps, weight_decay, .. } = self.settings;
        let group = self.table.iter().find(|group| group.holds(path));
        let group = group.unwrap_or_else(|| panic!("the table of parameters has no `{path}`"));
        let rate = learning_rate * group.lr_multiplier;
        let weight_decay = if group.decayed { weight_decay } else { 0.0 };
        let t = (steps_done + 1) as f64;
        Coefficients {
            gradient_scale: gradient_scale as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            keep: (1.0 - rate * weight_decay) as f32,
            step_size: (rate / (1.0 - beta1.powf(t))) as f32,
            second_scale: (1.0 / (1.0 - beta2.powf(t)).sqrt()) as f32,
            eps: eps as f32,
        }
    }

    /// The moments by parameter name, first moment first.
    pub(crate) fn state(&self) -> impl Iterator<Item = (&str, Vec<f32>, Vec<f32>)> {
        self.moments.iter().map(|(name, moments)| match moments {
            Moments::Host { first, second } => (name.as_str(), first.clone(), second.clone()),
            Moments::Device(moments) => (name.as_str(), host(moments.first.clone()), host(moments.second.clone())),
        })
    }

    /// Restores the moments of a parameter.
    pub(crate) fn restore(&mut self, name: String, first: Vec<f32>, second: Vec<f32>, device: &Device) {
        let moments = if minicpm::ops::is_fused(device) {
            Moments::Host { first, second }
        } else {
            let device = device.clone().inner();
            let tensor = |values: Vec<f32>| Tensor::<1>::from_data(values.as_slice(), &device);
            Moments::Device(Box::new(DeviceMoments { first: tensor(first), second: tensor(second) }))
        };
        self.moments.insert(name, moments);
    }
}

/// The L2 norm of all gradients together.
fn global_norm(model: &MiniCpm, gradients: &GradientsParams) -> f64 {
    struct SquareSum<'a> {
        gradients: &'a GradientsParams,
        on_host: f64,
        on_device: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for SquareSum<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
            if minicpm::ops::is_fused(&gradient.device()) {
                self.on_host += flex::square_sum(gradient);
            } else {
                self.on_device.push(plain::square_sums(gradient));
            }
        }
    }
    let mut visitor = SquareSum { gradients, on_host: 0.0, on_device: Vec::new() };
    model.visit(&mut visitor);
    let SquareSum { on_host, on_device, .. } = visitor;
    // Read all at once, because each read waits for the device.
    let sums = if on_device.is_empty() { Vec::new() } else { host(Tensor::cat(on_device, 0)) };
    (on_host + sums.into_iter().map(f64::from).sum::<f64>()).sqrt()
}

struct Update<'a> {
    optimizer: &'a mut Optimizer,
    gradients: GradientsParams,
    path: Path,
    gradient_scale: f64,
    learning_rate: f64,
    steps_done: u64,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // Consumed instead of borrowed: only a tensor without other owners is updated in place.
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let name = self.path.name();
        let with = self.optimizer.coefficients(&name, self.gradient_scale, self.learning_rate, self.steps_done);
        let tensor = tensor.inner();
        let updated = if minicpm::ops::is_fused(&tensor.device()) {
            flex::update(tensor, gradient, self.optimizer.moments.entry(name), with)
        } else {
            plain::update(tensor, gradient, self.optimizer.moments.entry(name), with)
        };
        Param::from_mapped_value(id, Tensor::from_inner(updated).require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    fn with() -> Coefficients {
        Coefficients {
            gradient_scale: 0.5,
            beta1: 0.9,
            beta2: 0.95,
            keep: 0.999,
            step_size: 0.02,
            second_scale: 1.3,
            eps: 1e-8,
        }
    }

    fn values(count: usize, salt: u32) -> Vec<f32> {
        let value = |index: usize| ((index as u32).wrapping_mul(2_654_435_761).wrapping_add(salt * 77) >> 9) as f32;
        (0..count).map(|index| value(index) / 4_194_304.0 - 1.0).collect()
    }

    #[test]
    fn the_fused_update_agrees_with_the_plain_one() {
        for count in [1, 5, 64, 40_000] {
            let device = Device::flex();
            let tensor = |salt| Tensor::<1>::from_data(TensorData::new(values(count, salt), [count]), &device);
            let (mut fused, mut formula) = (BTreeMap::new(), BTreeMap::new());
            let (mut a, mut b) = (tensor(1), tensor(1));
            for salt in 2..5 {
                a = flex::update(a, tensor(salt), fused.entry("p".to_owned()), with());
                b = plain::update(b, tensor(salt), formula.entry("p".to_owned()), with());
            }
            for (a, b) in host(a).into_iter().zip(host(b)) {
                // Values of order one, rounded to 32 bits a few times.
                assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-1), "{a} against {b}");
            }
        }
    }

    #[test]
    fn the_two_norms_agree() {
        let count = 29 * 3_449;
        let tensor = || Tensor::<1>::from_data(TensorData::new(values(count, 3), [count]), &Device::flex());
        let rows = host(plain::square_sums(tensor().reshape([29, 3_449])));
        assert_eq!(rows.len(), 29);
        let (fused, formula) = (flex::square_sum(tensor()), rows.into_iter().map(f64::from).sum::<f64>());
        assert!((fused / formula - 1.0).abs() < 1e-5, "{fused} against {formula}");
    }

    /// The formula from the module's documentation in double precision, independent of the implementations.
    #[test]
    fn clipping_and_updates_follow_the_formula_in_double_precision() {
        let settings = AdamW { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, clip_norm: 1.0 };
        let model = vocabulary::sample::model();
        let optimizer = Optimizer::new(settings, &model);
        let count = 1000;
        let device = Device::flex();
        let tensor = |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [count]), &device);
        let start = values(count, 1);
        let (mut parameter, mut moments) = (tensor(&start), BTreeMap::new());
        let mut exact: Vec<f64> = start.iter().map(|&value| f64::from(value)).collect();
        let (mut first, mut second) = (vec![0.0; count], vec![0.0; count]);
        let (rate, matrix) = (0.01, "blocks.0.mlp.down");
        let group_rate = rate * f64::from(model.tensor_program.d_base) / f64::from(model.shape.d_model);
        for step in 0..5 {
            let gradient = values(count, 2 + step as u32);
            let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            let clip = (1.0 / (norm + 1e-6)).min(1.0);
            assert!(clip < 0.5, "it clips");
            let with = optimizer.coefficients(matrix, clip, rate, step);
            parameter = flex::update(parameter, tensor(&gradient), moments.entry("p".to_owned()), with);
            let t = (step + 1) as i32;
            for index in 0..count {
                let g = clip * f64::from(gradient[index]);
                first[index] = 0.9 * first[index] + 0.1 * g;
                second[index] = 0.95 * second[index] + 0.05 * g * g;
                let m: f64 = first[index] / (1.0 - 0.9_f64.powi(t));
                let v: f64 = second[index] / (1.0 - 0.95_f64.powi(t));
                exact[index] -= group_rate * 0.1 * exact[index] + group_rate * m / (v.sqrt() + 1e-8);
            }
        }
        for (found, exact) in host(parameter).into_iter().zip(exact) {
            assert!((f64::from(found) - exact).abs() < 1e-6, "{found} against {exact}");
        }
    }
}
