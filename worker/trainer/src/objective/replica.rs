//! A second device that computes gradients of the model that the first one trains.
//!
//! Weights and gradients travel through host memory, which every backend can do, and which changes no bit. Each device is
//! touched by threads of its own alone, as [`Compute`] demands.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use minicpm::{Compute, MiniCpm, MiniCpmConfig};
use vocabulary::StageSpec;

use super::{Rows, Step, Sum};
use crate::parameters::{Path, Read, ReadGradients, Replace};
use crate::snapshot::HostTensor;

/// A device with a model whose weights follow those of the first device.
#[derive(Debug)]
pub(crate) struct Replica {
    compute: Compute,
    device: Device,
    /// Absent only while its weights are replaced.
    model: Option<MiniCpm>,
}

/// Weights by name, on the host.
#[derive(Debug, Default)]
pub(super) struct Weights(BTreeMap<String, HostTensor>);

impl Weights {
    pub(super) fn of(model: &MiniCpm) -> Self {
        let mut weights = BTreeMap::new();
        let receive = |name, shape, values| {
            weights.insert(name, HostTensor { shape, values });
        };
        model.visit(&mut Read { path: Path::default(), receive });
        Self(weights)
    }
}

impl Replica {
    pub(crate) fn new(compute: &Compute, spec: &StageSpec) -> Self {
        let device = compute.device();
        let config = MiniCpmConfig { spec: spec.model, context: spec.batch.context as usize };
        let initial = compute.install(|| config.init(spec.start.init_seed, &device));
        Self { compute: compute.clone(), device, model: Some(initial.with_precision(spec.precision)) }
    }

    /// Computes groups of pieces with these weights, in order, until they are done or nobody takes them.
    pub(super) fn compute<'a>(
        &mut self,
        step: Step<'_>,
        weights: &Weights,
        groups: impl Iterator<Item = &'a Vec<(usize, Rows<'a>)>> + Send,
        send: &SyncSender<Moved>,
    ) {
        let model = self.model.take().expect("only this takes the model, and it puts it back");
        let device = &self.device;
        let model = self.compute.install(|| {
            let model = model.map(&mut Replace { path: Path::default(), values: &weights.0 });
            for group in groups {
                let moved = Moved::of(&model, step.sum(&model, group, device));
                if send.send(moved).is_err() {
                    break;
                }
            }
            model
        });
        self.model = Some(model);
    }
}

/// A sum of gradients on its way from one device to another.
pub(super) struct Moved {
    gradients: BTreeMap<String, HostTensor>,
    losses: Vec<(usize, f64)>,
}

impl Moved {
    fn of(model: &MiniCpm, sum: Sum) -> Self {
        let mut gradients = BTreeMap::new();
        let receive = |name, shape, values| {
            gradients.insert(name, HostTensor { shape, values });
        };
        model.visit(&mut ReadGradients { path: Path::default(), gradients: &sum.gradients, receive });
        Self { gradients, losses: sum.losses }
    }

    /// The same as gradients of a model on another device.
    pub(super) fn onto(self, model: &MiniCpm, device: &Device) -> Sum {
        let Self { gradients, losses } = self;
        let device = device.clone().inner();
        let mut register =
            Register { path: Path::default(), device, arrived: gradients, gradients: GradientsParams::new() };
        model.visit(&mut register);
        Sum { gradients: register.gradients, losses }
    }
}

/// Makes gradients of what arrived, parameter by parameter.
struct Register {
    path: Path,
    device: Device,
    arrived: BTreeMap<String, HostTensor>,
    gradients: GradientsParams,
}

impl ModuleVisitor for Register {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(HostTensor { shape, values }) = self.arrived.remove(&self.path.name()) else { return };
        let gradient = Tensor::<D>::from_data(TensorData::new(values, shape), &self.device);
        self.gradients.register(param.id, gradient);
    }
}
