//! The network as a whole.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use minicpm::{Compute, MiniCpm, MiniCpmConfig};
use vocabulary::{ModelSpec, ParamGroup, Shape, TensorProgram};

fn spec(shape: Shape, vocab: u32, tied: bool) -> ModelSpec {
    let tensor_program = TensorProgram { d_base: 32, ..TensorProgram::PAPER };
    ModelSpec { tied, tensor_program, ..ModelSpec::paper(shape, vocab) }
}

fn small(tied: bool) -> MiniCpmConfig {
    let shape = Shape { d_model: 48, d_ff: 120, head_dim: 8, n_heads: 6, n_kv_heads: 2, n_layers: 3 };
    MiniCpmConfig { spec: spec(shape, 300, tied), context: 33 }
}

fn batch(config: &MiniCpmConfig, sequences: usize, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>) {
    let count = sequences * config.context;
    let vocab = config.spec.vocab as usize;
    let numbers =
        |step: usize| -> Vec<i32> { (0..count).map(|index| ((index * step + index / 7) % vocab) as i32).collect() };
    let inputs = TensorData::new(numbers(101), [sequences, config.context]);
    (Tensor::from_data(inputs, device), Tensor::from_data(TensorData::new(numbers(103), [count]), device))
}

#[test]
fn the_built_model_has_as_many_parameters_as_the_formula() {
    for tied in [true, false] {
        let config = small(tied);
        let model = config.init(0, &Device::flex());
        assert_eq!(model.num_params() as u64, config.spec.shape.total_params(config.spec.vocab, tied));
    }
}

#[test]
fn every_shape_of_the_ladder_up_to_half_a_billion_is_built_as_counted() {
    let mut built = 0;
    for (name, shape) in
        vocabulary::ladder::PAPER.iter().filter(|(_, shape)| shape.non_embedding_params() < 500_000_000)
    {
        let config = MiniCpmConfig { spec: spec(*shape, 64, true), context: 8 };
        let model = config.init(0, &Device::flex());
        assert_eq!(model.num_params() as u64, shape.total_params(64, true), "{name}");
        built += 1;
    }
    assert_eq!(built, 7, "9M to 0.5B");
}

#[test]
fn the_built_model_is_that_of_the_table() {
    /// Path and shape of every parameter.
    #[derive(Default)]
    struct Built(Vec<String>, BTreeMap<String, Vec<usize>>);
    impl ModuleVisitor for Built {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.join("."), param.val().dims().to_vec());
        }
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
    }
    for tied in [true, false] {
        let config = small(tied);
        let mut built = Built::default();
        let model = config.init(0, &Device::flex());
        model.visit(&mut built);
        let table = config.spec.param_groups();
        let shape = |group: &ParamGroup| -> Vec<usize> { group.shape.iter().map(|&width| width as usize).collect() };
        let expected: BTreeMap<_, _> =
            table.iter().flat_map(|group| group.paths().map(move |path| (path, shape(group)))).collect();
        assert_eq!(built.1, expected);
        assert_eq!(table.iter().map(ParamGroup::params).sum::<u64>(), model.num_params() as u64);
    }
}

#[test]
fn initial_values_are_those_of_the_table() {
    /// Mean square of every parameter's values.
    #[derive(Default)]
    struct Sizes(Vec<String>, BTreeMap<String, f64>);
    impl ModuleVisitor for Sizes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.join("."), param.val().square().mean().into_scalar::<f32>().into());
        }
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
    }
    let config = small(false);
    let mut sizes = Sizes::default();
    config.init(7, &Device::flex()).visit(&mut sizes);
    for group in config.spec.param_groups() {
        for path in group.paths() {
            let size = sizes.1[&path].sqrt();
            match group.init_std {
                // Of n normal values the root mean square strays by 1 / sqrt(2n), which is 1.3% for the smallest.
                Some(std) => assert!((size / std - 1.0).abs() < 0.05, "{path}: {size} against {std}"),
                None => assert_eq!(size, 1.0, "{path}"),
            }
        }
    }
}

#[test]
fn an_untrained_model_knows_nothing() {
    let config = small(true);
    let device = Device::flex();
    let (inputs, targets) = batch(&config, 4, &device);
    let loss: f32 = config.init(1, &device).loss(inputs, targets).into_scalar();
    let uniform = f32::ln(config.spec.vocab as f32);
    // Tied weights make the first logits a little better or worse than uniform.
    assert!((loss - uniform).abs() < 0.5, "{loss} against ln(vocab) = {uniform}");
}

#[test]
fn the_loss_is_that_of_the_logits() {
    for tied in [true, false] {
        let config = small(tied);
        let device = Device::flex();
        let model = config.init(1, &device);
        let (inputs, targets) = batch(&config, 2, &device);
        let loss: f32 = model.loss(inputs.clone(), targets.clone()).into_scalar();
        let log_softmax = burn::tensor::activation::log_softmax(model.logits(inputs), 1);
        let [rows, _] = log_softmax.dims();
        let expected: f32 = log_softmax.gather(1, targets.reshape([rows, 1])).mean().neg().into_scalar();
        assert!((loss - expected).abs() < 1e-5 * expected, "{loss} against {expected}");
    }
}

#[test]
fn no_token_sees_the_future() {
    let config = small(true);
    let device = Device::flex();
    let model = config.init(2, &device);
    let (inputs, _) = batch(&config, 1, &device);
    let changed = {
        let mut tokens: Vec<i32> = inputs.to_data().convert::<i32>().try_into_vec::<i32>().expect("tokens");
        let last = tokens.len() - 1;
        tokens[last] = (tokens[last] + 1) % config.spec.vocab as i32;
        Tensor::<2, Int>::from_data(TensorData::new(tokens, [1, config.context]), &device)
    };
    let before = |inputs| model.logits(inputs).narrow(0, 0, config.context - 1).into_data(); // tokens
    assert_eq!(before(inputs), before(changed));
}

#[test]
fn losses_and_gradients_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let compute = Compute::parse("flex", threads).expect("the CPU is always there");
        compute.install(|| {
            let config = small(false);
            let device = compute.device();
            let model: MiniCpm = config.init(3, &device);
            let (inputs, targets) = batch(&config, 8, &device);
            let loss = model.loss(inputs, targets);
            let grads = loss.backward();
            let mut bits = vec![loss.into_scalar::<f32>().to_bits()];
            struct Bits<'a>(&'a burn::tensor::Gradients, &'a mut Vec<u32>);
            impl ModuleVisitor for Bits<'_> {
                fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                    let gradient = param.val().grad(self.0).expect("every parameter has a gradient");
                    let values: Vec<f32> = gradient.into_data().try_into_vec::<f32>().expect("f32");
                    self.1.extend(values.into_iter().map(f32::to_bits));
                }
            }
            model.visit(&mut Bits(&grads, &mut bits));
            bits
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(5));
}

#[test]
fn a_trace_is_of_the_pass_it_watches() {
    for tied in [true, false] {
        let config = small(tied);
        let device = Device::flex();
        let model = config.init(5, &device);
        let (inputs, _) = batch(&config, 2, &device);
        let values = |tensor: Tensor<2>| tensor.into_data().try_into_vec::<f32>().expect("f32");
        let trace = model.trace(inputs.clone());
        assert_eq!(values(trace.logits), values(model.logits(inputs)));
        // The stream is the embedding's output and what the blocks add to it, to the rounding.
        let scale = config.spec.residual_scale() as f32;
        let added = trace.attention.into_iter().chain(trace.mlp).map(|output| output.mul_scalar(scale));
        let sum = values(added.fold(trace.embedding, |sum, output| sum + output));
        for (stream, sum) in values(trace.stream).into_iter().zip(sum) {
            assert!((stream - sum).abs() < 1e-4 * (1.0 + sum.abs()), "{stream} and {sum}");
        }
    }
}
