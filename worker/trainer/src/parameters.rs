//! Parameters by their stable names.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

use crate::snapshot::HostTensor;

/// Path of the module being visited, such as `blocks.0.attention`.
#[derive(Debug, Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    /// The dotted path, which checkpoints use as the name, because burn keys parameters by random numbers.
    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Calls a function with the name, shape and values of every parameter, on the host.
pub(crate) struct Read<F: FnMut(String, Vec<usize>, Vec<f32>)> {
    pub(crate) path: Path,
    pub(crate) receive: F,
}

impl<F: FnMut(String, Vec<usize>, Vec<f32>)> ModuleVisitor for Read<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        (self.receive)(self.path.name(), shape, host(tensor));
    }
}

/// Calls a function with the name, shape and values of every parameter's gradient, on the host.
pub(crate) struct ReadGradients<'a, F: FnMut(String, Vec<usize>, Vec<f32>)> {
    pub(crate) path: Path,
    pub(crate) gradients: &'a GradientsParams,
    pub(crate) receive: F,
}

impl<F: FnMut(String, Vec<usize>, Vec<f32>)> ModuleVisitor for ReadGradients<'_, F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let shape = gradient.dims().to_vec();
            (self.receive)(self.path.name(), shape, host(gradient));
        }
    }
}

/// Replaces the values of parameters, by name; shapes must match.
pub(crate) struct Replace<'a> {
    pub(crate) path: Path,
    pub(crate) values: &'a BTreeMap<String, HostTensor>,
}

impl ModuleMapper for Replace<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.get(&self.path.name()) else { return param };
        param.map(|tensor| {
            let data = TensorData::new(value.values.clone(), tensor.dims());
            Tensor::from_data(data, &tensor.device()).require_grad()
        })
    }
}

/// The shape of every parameter, by name.
pub(crate) fn shapes(model: &impl Module) -> BTreeMap<String, Vec<usize>> {
    #[derive(Default)]
    struct Shapes {
        path: Path,
        found: BTreeMap<String, Vec<usize>>,
    }
    impl ModuleVisitor for Shapes {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.insert(self.path.name(), param.val().dims().to_vec());
        }
    }
    let mut shapes = Shapes::default();
    model.visit(&mut shapes);
    shapes.found
}

/// The values of a tensor in row-major order.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("parameters are 32-bit floats")
}
