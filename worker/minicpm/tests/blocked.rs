//! What GPUs run: formulas cut into pieces against the same in one piece, and in bfloat16 against 32 bits. All of it on the
//! CPU backend, which runs the formulas as well.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use minicpm::ops::{self, AttentionLayout, blocked, plain};
use minicpm::rope::RopeTable;
use minicpm::{Activations, Differentiated, MiniCpm, MiniCpmConfig};
use vocabulary::{ModelSpec, Precision, Shape, TensorProgram};

fn device() -> Device {
    Device::flex().autodiff()
}

/// Deterministic values in about [-1, 1].
fn values(shape: [usize; 2], salt: u32) -> Tensor<2> {
    let value = |index: usize| ((index as u32).wrapping_mul(2_654_435_761).wrapping_add(salt * 97) >> 8) as f32;
    let elements: Vec<f32> = (0..shape.iter().product()).map(|index| value(index) / 8_388_608.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(elements, shape), &device())
}

fn tokens<const D: usize>(shape: [usize; D], vocab: usize) -> Tensor<D, Int> {
    let elements: Vec<i32> = (0..shape.iter().product()).map(|index| ((index * 7919) % vocab) as i32).collect();
    Tensor::from_data(TensorData::new(elements, shape), &device())
}

fn relative_error(found: Tensor<2>, expected: Tensor<2>) -> f32 {
    let (found, expected) = (found.cast(FloatDType::F32), expected.cast(FloatDType::F32));
    let distance: f32 = (found - expected.clone()).square().sum().sqrt().into_scalar();
    let size: f32 = expected.square().sum().sqrt().into_scalar();
    distance / size.max(1e-12)
}

/// Holds the output and the gradients of one function of some leaves against another's, all under one output gradient.
fn agree<const N: usize>(
    name: &str,
    tolerance: f32,
    leaves: [Tensor<2>; N],
    found: impl Fn([Tensor<2>; N]) -> Tensor<2>,
    expected: impl Fn([Tensor<2>; N]) -> Tensor<2>,
) {
    let run = |operation: &dyn Fn([Tensor<2>; N]) -> Tensor<2>| {
        let leaves = leaves.clone().map(|leaf| leaf.require_grad());
        let output = operation(leaves.clone());
        let weights = values(output.dims(), 11);
        let grads = (output.clone().cast(FloatDType::F32) * weights).sum().backward();
        (output.inner(), leaves.map(|leaf| leaf.grad(&grads).expect("every leaf has a gradient")))
    };
    let ((output, gradients), (expected, expected_gradients)) = (run(&found), run(&expected));
    let error = relative_error(output, expected);
    assert!(error < tolerance, "{name}: the output is off by {error:e}");
    for (index, (gradient, expected)) in gradients.into_iter().zip(expected_gradients).enumerate() {
        assert_eq!(gradient.dtype(), DType::F32, "{name}: gradient {index} is that of 32-bit weights");
        let error = relative_error(gradient, expected);
        assert!(error < tolerance, "{name}: gradient {index} is off by {error:e}");
    }
}

#[test]
fn attention_by_pieces_is_attention() {
    for (batch, context, n_heads, n_kv_heads, head_dim) in [(1, 1, 1, 1, 2), (2, 7, 4, 2, 4), (1, 65, 2, 2, 8)] {
        let layout = AttentionLayout { n_heads, n_kv_heads, head_dim };
        let rope = RopeTable::new(context, head_dim, 10_000.0);
        for queries in [1, 3, 64, 100] {
            agree(
                &format!("{batch} x {context}, {queries} queries at a time"),
                1e-6,
                [values([batch * context, layout.qkv_width()], 4).mul_scalar(2.0)],
                |[qkv]| blocked::causal_attention_by(queries, qkv, layout, context, &rope),
                |[qkv]| plain::causal_attention(qkv, layout, context, &rope),
            );
        }
    }
}

#[test]
fn the_loss_by_pieces_is_the_loss() {
    for (rows, width, vocab) in [(1, 2, 2), (7, 5, 11), (100, 16, 40)] {
        let targets = tokens([rows], vocab);
        for (at_once, z_weight) in [1, 3, 64, 200].into_iter().flat_map(|rows| [(rows, 0.0), (rows, 0.1)]) {
            let (hidden, weight) = (values([rows, width], 1), values([vocab, width], 2));
            agree(
                &format!("[{rows}, {width}] x {vocab}, {at_once} tokens at a time, z {z_weight}"),
                2e-6,
                [hidden.clone().mul_scalar(3.0), weight.clone()],
                |[hidden, weight]| {
                    let loss = blocked::head_loss_by(at_once, hidden, weight, targets.clone(), 0.5, z_weight);
                    loss.objective.reshape([1, 1])
                },
                |[hidden, weight]| {
                    plain::head_loss(hidden, weight, targets.clone(), 0.5, z_weight).objective.reshape([1, 1])
                },
            );
            let whole = plain::head_loss(hidden.clone(), weight.clone(), targets.clone(), 0.5, z_weight);
            let tracked =
                blocked::head_loss_by(at_once, hidden.clone(), weight.clone(), targets.clone(), 0.5, z_weight);
            let untracked =
                blocked::head_loss_by(at_once, hidden.inner(), weight.inner(), targets.clone().inner(), 0.5, z_weight);
            let near = |way: &str, found: Tensor<1>, expected: &Tensor<1>| {
                let (found, expected): (f32, f32) = (found.into_scalar(), expected.clone().into_scalar());
                assert!((found - expected).abs() < 2e-6 * expected, "{way}: {found}, and {expected} in one piece");
            };
            near("objective without gradients", untracked.objective, &whole.objective);
            near("cross-entropy without gradients", untracked.cross_entropy, &whole.cross_entropy);
            near("cross-entropy", tracked.cross_entropy, &whole.cross_entropy);
        }
    }
}

#[test]
fn in_bfloat16_every_operation_is_itself_up_to_eight_bits() {
    // A bfloat16 has 8 bits of mantissa: one rounding is off by 2^-9 at most.
    const TOLERANCE: f32 = 0.01;
    let half = |x: Tensor<2>| x.cast(FloatDType::BF16);
    let (input, matrix, gain) = (values([33, 24], 1), values([24, 48], 2), values([1, 24], 3));
    agree(
        "rms_norm",
        TOLERANCE,
        [input.clone(), gain],
        |[x, gain]| plain::rms_norm(half(x), gain.reshape([24]), 1e-5),
        |[x, gain]| plain::rms_norm(x, gain.reshape([24]), 1e-5),
    );
    agree(
        "norm_linear",
        TOLERANCE,
        [input.clone(), values([1, 24], 5), matrix],
        |[x, gain, w]| plain::norm_linear(half(x), gain.reshape([24]), w, 1e-5),
        |[x, gain, w]| plain::norm_linear(x, gain.reshape([24]), w, 1e-5),
    );
    agree(
        "linear_residual",
        TOLERANCE,
        [values([33, 16], 4), input.clone(), values([24, 16], 6)],
        |[stream, x, w]| plain::linear_residual(half(stream), half(x), w, 0.7),
        |[stream, x, w]| plain::linear_residual(stream, x, w, 0.7),
    );
    agree(
        "swiglu_residual",
        TOLERANCE,
        [values([33, 16], 4), input.clone(), values([12, 16], 6)],
        |[stream, x, w]| plain::swiglu_residual(half(stream), half(x), w, 0.7),
        |[stream, x, w]| plain::swiglu_residual(stream, x, w, 0.7),
    );
    let layout = AttentionLayout { n_heads: 2, n_kv_heads: 1, head_dim: 6 };
    let rope = RopeTable::new(11, 6, 10_000.0);
    agree(
        "attention",
        TOLERANCE,
        [input.clone()],
        |[x]| blocked::causal_attention_by(4, half(x), layout, 11, &rope),
        |[x]| plain::causal_attention(x, layout, 11, &rope),
    );
    let targets = tokens([33], 40);
    for z_weight in [0.0, 0.1] {
        let loss = |x, w| blocked::head_loss_by(10, x, w, targets.clone(), 0.5, z_weight).objective;
        agree(
            "head_loss",
            TOLERANCE,
            [input.clone(), values([40, 24], 5)],
            |[x, w]| loss(half(x), w).reshape([1, 1]),
            |[x, w]| loss(x, w).reshape([1, 1]),
        );
        assert_eq!(loss(half(input.clone()), values([40, 24], 5)).dtype(), DType::F32, "losses are in 32 bits");
    }
}

fn model(tied: bool) -> MiniCpm {
    let shape = Shape { d_model: 24, d_ff: 60, head_dim: 4, n_heads: 6, n_kv_heads: 3, n_layers: 3 };
    let tensor_program = TensorProgram { scale_emb: 12.0, scale_depth: 1.4, init_std: 0.1, d_base: 16 };
    let spec = ModelSpec { shape, vocab: 50, tied, tensor_program, rope_theta: 10_000.0, norm_eps: 1e-5 };
    MiniCpmConfig { spec, context: 9 }.init(3, &device())
}

/// A model in every way there is to run it here.
fn every_way(tied: bool) -> [(&'static str, MiniCpm); 3] {
    [
        ("fp32", model(tied)),
        ("bf16", model(tied).with_precision(Precision::Bf16)),
        ("bf16 as on a GPU", model(tied).in_bf16_as_on_a_gpu()),
    ]
}

#[test]
fn computing_activations_again_changes_no_bit() {
    use burn::module::{Module, ModuleVisitor, Param};
    struct Bits<'a>(&'a burn::optim::GradientsParams, Vec<u32>);
    impl ModuleVisitor for Bits<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let gradient = self.0.get::<D>(param.id).expect("every parameter has a gradient");
            let values: Vec<f32> = gradient.into_data().try_into_vec::<f32>().expect("32 bits");
            self.1.extend(values.into_iter().map(f32::to_bits));
        }
    }
    for (tied, z_weight) in [(true, 0.0), (false, 0.0), (true, 0.1)] {
        let differentiated = Differentiated { share: 0.25, z_weight };
        for (way, model) in every_way(tied) {
            let run = |activations| {
                let (loss, gradients) =
                    model.gradients(tokens([4, 9], 50), tokens([36], 49), differentiated, activations);
                let mut bits = Bits(&gradients, Vec::new());
                model.visit(&mut bits);
                (loss.to_bits(), bits.1)
            };
            assert_eq!(run(Activations::Kept), run(Activations::Recomputed), "{way}, tied: {tied}, z {z_weight}");
        }
    }
}

#[test]
fn a_model_in_bfloat16_is_about_the_one_in_32_bits() {
    let losses = every_way(true).map(|(way, model)| {
        let loss: f32 = model.loss(tokens([4, 9], 50), tokens([36], 49)).into_scalar();
        (way, loss)
    });
    let [(_, full), rounded @ ..] = losses;
    for (way, loss) in rounded {
        assert!(loss != full, "{way}: the number format is used");
        assert!((loss / full - 1.0).abs() < 0.01, "{way}: {loss} against {full}");
    }
    assert_ne!(rounded[0].1, rounded[1].1, "activations are rounded too");
}

#[test]
fn token_losses_have_the_mean_of_the_loss_to_the_bit_with_kernels_and_without() {
    let (vocab, width) = (300, 16);
    for rows in [1, 17, 1000] {
        let [hidden, weight] =
            [([rows, width], 1), ([vocab, width], 2)].map(|(shape, salt)| values(shape, salt).inner());
        let targets = tokens([rows], vocab).inner();
        let bits = |tensor: Tensor<1>| tensor.into_scalar::<f32>().to_bits();
        let plainly = blocked::token_losses(hidden.clone(), weight.clone(), targets.clone(), 0.5);
        let whole = blocked::head_loss(hidden.clone(), weight.clone(), targets.clone(), 0.5, 0.0).cross_entropy;
        assert_eq!(bits(plainly.mean), bits(whole), "{rows} tokens, by the formula");
        let fused = ops::token_losses(hidden.clone(), weight.clone(), targets.clone(), 0.5, Precision::Fp32);
        let loss = ops::cross_entropy(hidden, weight, targets, 0.5, Precision::Fp32);
        let mean = bits(fused.mean);
        assert_eq!(mean, bits(loss), "{rows} tokens, by the kernel");
        let each = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().expect("they are 32-bit floats");
        let (fused, plainly) = (each(fused.each), each(plainly.each));
        assert_eq!((fused.len(), plainly.len()), (rows, rows));
        assert!(fused.iter().zip(&plainly).all(|(a, b)| (a - b).abs() < 1e-4));
        let again = fused.iter().map(|loss| f64::from(*loss)).sum::<f64>() / rows as f64;
        assert_eq!((again as f32).to_bits(), mean, "the mean is that of the tokens");
    }
}
