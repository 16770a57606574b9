//! Every fused operation against burn's own automatic differentiation of the plain formula.

use burn::tensor::{Device, Int, Tensor, TensorData};
use minicpm::ops::{self, AttentionLayout, plain};
use minicpm::rope::RopeTable;
use vocabulary::Precision;

/// Deterministic values in about [-1, 1].
fn values<const D: usize>(shape: [usize; D], salt: u32, device: &Device) -> Tensor<D> {
    let value = |index: usize| ((index as u32).wrapping_mul(2_654_435_761).wrapping_add(salt * 97) >> 8) as f32;
    let elements: Vec<f32> = (0..shape.iter().product()).map(|index| value(index) / 8_388_608.0 - 1.0).collect();
    Tensor::from_data(TensorData::new(elements, shape), device)
}

fn tokens(count: usize, vocab: usize, salt: usize, device: &Device) -> Tensor<1, Int> {
    let elements: Vec<i32> = (0..count).map(|index| ((index * 7919 + salt * 31) % vocab) as i32).collect();
    Tensor::from_data(TensorData::new(elements, [count]), device)
}

fn relative_error<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f32 {
    let distance: f32 = (found - expected.clone()).square().sum().sqrt().into_scalar();
    let size: f32 = expected.square().sum().sqrt().into_scalar();
    distance / size.max(1e-12)
}

const TOLERANCE: f32 = 1e-5;

/// Compares outputs and gradients of two implementations on the same leaves, under the same random output gradient.
fn compare<const D: usize, const N: usize>(
    name: &str,
    leaves: [Tensor<D>; N],
    fused: impl Fn([Tensor<D>; N]) -> Tensor<2>,
    formula: impl Fn([Tensor<D>; N]) -> Tensor<2>,
) {
    let device = leaves[0].device();
    let run = |operation: &dyn Fn([Tensor<D>; N]) -> Tensor<2>| {
        let leaves = leaves.clone().map(|leaf| leaf.require_grad());
        let output = operation(leaves.clone());
        let weights = values(output.dims(), 11, &device);
        let grads = (output.clone() * weights).sum().backward();
        (output.inner(), leaves.map(|leaf| leaf.grad(&grads).expect("every leaf has a gradient")))
    };
    let ((output, gradients), (expected, expected_gradients)) = (run(&fused), run(&formula));
    let error = relative_error(output, expected);
    assert!(error < TOLERANCE, "{name}: the output is off by {error:e}");
    for (index, (gradient, expected)) in gradients.into_iter().zip(expected_gradients).enumerate() {
        let error = relative_error(gradient, expected);
        assert!(error < TOLERANCE, "{name}: gradient {index} is off by {error:e}");
    }
}

fn device() -> Device {
    Device::flex().autodiff()
}

#[test]
fn rms_norm_agrees_with_its_formula() {
    for (rows, width) in [(1, 1), (3, 7), (64, 32), (65, 48), (200, 100)] {
        let input = values([rows, width], 1, &device());
        let gain = values([1, width], 2, &device());
        compare(
            &format!("rms_norm [{rows}, {width}]"),
            [input, gain],
            |[input, gain]| ops::rms_norm(input, gain.reshape([width]), 1e-5),
            |[input, gain]| plain::rms_norm(input, gain.reshape([width]), 1e-5),
        );
    }
}

#[test]
fn norm_linear_agrees_with_its_formula() {
    for (rows, from, to) in [(1, 1, 1), (5, 3, 7), (64, 32, 96), (130, 48, 17), (1, 64, 64)] {
        compare(
            &format!("norm_linear [{rows}, {from}] x [{from}, {to}]"),
            [values([rows, from], 1, &device()), values([1, from], 2, &device()), values([from, to], 3, &device())],
            |[input, gain, weight]| ops::norm_linear(input, gain.reshape([from]), weight, 1e-5, Precision::Fp32),
            |[input, gain, weight]| plain::norm_linear(input, gain.reshape([from]), weight, 1e-5),
        );
    }
}

#[test]
fn linear_residual_agrees_with_its_formula() {
    for (rows, from, to) in [(1, 1, 1), (5, 3, 7), (64, 32, 96), (130, 48, 17)] {
        compare(
            &format!("linear_residual [{rows}, {from}] x [{from}, {to}]"),
            [values([rows, to], 1, &device()), values([rows, from], 2, &device()), values([from, to], 3, &device())],
            |[stream, input, weight]| ops::linear_residual(stream, input, weight, 0.7, Precision::Fp32),
            |[stream, input, weight]| plain::linear_residual(stream, input, weight, 0.7),
        );
    }
}

#[test]
fn swiglu_residual_agrees_with_its_formula() {
    for (rows, d_ff, to) in [(1, 1, 1), (3, 5, 2), (64, 80, 32), (129, 33, 20)] {
        compare(
            &format!("swiglu_residual [{rows}, {d_ff}] x [{d_ff}, {to}]"),
            [
                values([rows, to], 1, &device()),
                values([rows, 2 * d_ff], 2, &device()).mul_scalar(6.0),
                values([d_ff, to], 3, &device()),
            ],
            |[stream, gate_up, weight]| ops::swiglu_residual(stream, gate_up, weight, 0.7, Precision::Fp32),
            |[stream, gate_up, weight]| plain::swiglu_residual(stream, gate_up, weight, 0.7),
        );
    }
}

#[test]
fn the_embedding_agrees_with_its_formula() {
    let tokens = tokens(100, 13, 5, &device());
    compare(
        "embedding",
        [values([13, 9], 1, &device())],
        |[table]| ops::embedding(table, tokens.clone(), 12.0),
        |[table]| plain::embedding(table, tokens.clone(), 12.0),
    );
}

#[test]
fn attention_agrees_with_its_formula() {
    let cases = [
        // batch, context, query heads, key heads, head width
        (1, 1, 1, 1, 2),
        (1, 5, 2, 2, 4),
        (2, 64, 2, 1, 16),
        (3, 65, 4, 2, 8),
        (1, 200, 6, 3, 16),
        (2, 130, 3, 1, 32),
    ];
    for (batch, context, n_heads, n_kv_heads, head_dim) in cases {
        let layout = AttentionLayout { n_heads, n_kv_heads, head_dim };
        let rope = RopeTable::new(context + 3, head_dim, 10_000.0);
        compare(
            &format!("attention {batch} x {context}, {layout:?}"),
            [values([batch * context, layout.qkv_width()], 4, &device()).mul_scalar(2.0)],
            |[qkv]| ops::causal_attention(qkv, layout, context, &rope),
            |[qkv]| plain::causal_attention(qkv, layout, context, &rope),
        );
    }
}

#[test]
fn cross_entropy_agrees_with_its_formula() {
    for (rows, width, vocab) in [(1, 2, 2), (7, 5, 11), (300, 16, 40), (513, 32, 64)] {
        let targets = tokens(rows, vocab, 3, &device());
        compare(
            &format!("cross_entropy [{rows}, {width}] x {vocab}"),
            [values([rows, width], 1, &device()).mul_scalar(3.0), values([vocab, width], 2, &device())],
            |[hidden, weight]| {
                ops::cross_entropy(hidden, weight, targets.clone(), 0.5, Precision::Fp32).reshape([1, 1])
            },
            |[hidden, weight]| plain::cross_entropy(hidden, weight, targets.clone(), 0.5).reshape([1, 1]),
        );
    }
}

#[test]
fn the_loss_with_a_z_loss_agrees_with_its_formula() {
    for (rows, width, vocab) in [(1, 2, 2), (7, 5, 11), (300, 16, 40), (513, 32, 64)] {
        let targets = tokens(rows, vocab, 3, &device());
        for z_weight in [1e-4, 0.3] {
            let formula =
                |[hidden, weight]: [Tensor<2>; 2]| plain::head_loss(hidden, weight, targets.clone(), 0.5, z_weight);
            let fused = |[hidden, weight]: [Tensor<2>; 2]| {
                ops::head_loss(hidden, weight, targets.clone(), 0.5, z_weight, Precision::Fp32)
            };
            let leaves = || [values([rows, width], 1, &device()).mul_scalar(3.0), values([vocab, width], 2, &device())];
            compare(
                &format!("head_loss [{rows}, {width}] x {vocab}, z {z_weight}"),
                leaves(),
                |leaves| fused(leaves).objective.reshape([1, 1]),
                |leaves| formula(leaves).objective.reshape([1, 1]),
            );
            // The part that is reported is that without the term, to the bit.
            let [hidden, weight] = leaves();
            let alone = ops::cross_entropy(hidden, weight, targets.clone(), 0.5, Precision::Fp32);
            let reported = fused(leaves()).cross_entropy;
            assert_eq!(reported.into_data(), alone.into_data());
            let error = relative_error(fused(leaves()).cross_entropy, formula(leaves()).cross_entropy);
            assert!(error < TOLERANCE, "the cross-entropy is off by {error:e}");
        }
    }
}

#[test]
fn a_gradient_other_than_one_reaches_through_cross_entropy() {
    let hidden = values([9, 4], 1, &device()).require_grad();
    let weight = values([6, 4], 2, &device());
    for z_weight in [0.0, 0.1] {
        let loss = |scale: f32| {
            let targets = tokens(9, 6, 1, &device());
            let loss = ops::head_loss(hidden.clone(), weight.clone(), targets, 1.0, z_weight, Precision::Fp32);
            hidden.grad(&(loss.objective * scale).backward()).expect("tracked")
        };
        assert!(relative_error(loss(3.0), loss(1.0).mul_scalar(3.0)) < 1e-6, "z {z_weight}");
    }
}

/// bfloat16 has eight bits of fraction, so a product of rounded factors is off by about 2^-9 of its terms.
const BF16_TOLERANCE: f32 = 6e-3;

#[test]
fn products_in_bfloat16_are_near_those_in_32_bits() {
    let (rows, from, to) = (130, 96, 80);
    let leaves = || {
        [values([rows, from], 1, &device()), values([from, to], 3, &device()), values([rows, to], 4, &device())]
            .map(Tensor::require_grad)
    };
    let run = |precision| {
        let [input, weight, stream] = leaves();
        let output = ops::linear_residual(stream.clone(), input.clone(), weight.clone(), 0.7, precision);
        let grads = (output.clone() * values([rows, to], 11, &device())).sum().backward();
        let gradients = [input, weight, stream].map(|leaf| leaf.grad(&grads).expect("tracked"));
        (output.inner(), gradients)
    };
    let ((output, gradients), (expected, expected_gradients)) = (run(Precision::Bf16), run(Precision::Fp32));
    let error = relative_error(output, expected);
    assert!(error < BF16_TOLERANCE && error > 1e-5, "the output is off by {error:e}");
    for (gradient, expected) in gradients.into_iter().zip(expected_gradients) {
        let error = relative_error(gradient, expected);
        assert!(error < BF16_TOLERANCE, "a gradient is off by {error:e}");
    }
}
