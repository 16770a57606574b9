//! The fused kernels' gradients against finite differences of the formulas, in double precision.
//!
//! The formulas are written out here once more, as plainly as they can be, on `f64`: nothing of the kernels, of burn's
//! operations or of its differentiation is used to say what is right. A central difference along a random direction is
//! the inner product of the gradient with it; its own error in double precision is far below that of 32-bit kernels.

use burn::tensor::{Device, Int, Tensor, TensorData};
use minicpm::ops::{self, AttentionLayout};
use minicpm::rope::RopeTable;
use vocabulary::Precision;

/// How far the two may part, relative to the product of the gradient's norm and the direction's: rounding to 32 bits is
/// 6e-8, and inner dimensions here are up to some hundred long.
const TOLERANCE: f64 = 1e-5;
/// Directions tried in each case.
const DIRECTIONS: u32 = 6;
/// Length of a step: the difference is off by its square, and rounding by its inverse, in units of 1e-16.
const STEP: f64 = 1e-5;

/// A matrix in row-major order.
#[derive(Clone)]
struct Matrix {
    dims: [usize; 2],
    values: Vec<f64>,
}

impl Matrix {
    /// Values in about [-size, size], each a 32-bit float, so that both sides start from the same numbers.
    fn random(dims: [usize; 2], salt: u32, size: f64) -> Self {
        let value = |index: usize| {
            let bits = (index as u32).wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(0x9e37_79b9));
            f64::from(((bits ^ bits >> 15) as f64 / f64::from(u32::MAX) * 2.0 - 1.0) as f32 * size as f32)
        };
        Self { dims, values: (0..dims[0] * dims[1]).map(value).collect() }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.dims[1]..(row + 1) * self.dims[1]]
    }

    /// `self * right`.
    fn times(&self, right: &Self) -> Self {
        let [rows, inner] = self.dims;
        let columns = right.dims[1];
        let mut values = vec![0.0; rows * columns];
        for row in 0..rows {
            for step in 0..inner {
                for column in 0..columns {
                    values[row * columns + column] += self.row(row)[step] * right.row(step)[column];
                }
            }
        }
        Self { dims: [rows, columns], values }
    }

    fn moved(&self, direction: &Self, by: f64) -> Self {
        let values = self.values.iter().zip(&direction.values).map(|(value, along)| value + by * along);
        Self { dims: self.dims, values: values.collect() }
    }

    fn tensor(&self, device: &Device) -> Tensor<2> {
        let values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
        Tensor::from_data(TensorData::new(values, self.dims), device)
    }
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Holds the gradients of a kernel against differences of its formula. What is differentiated is the inner product of the
/// output with random weights.
fn check<const N: usize>(
    name: &str,
    leaves: [Matrix; N],
    kernel: impl Fn([Tensor<2>; N]) -> Tensor<2>,
    formula: impl Fn(&[Matrix; N]) -> Matrix,
) {
    let device = Device::flex().autodiff();
    let tensors = leaves.clone().map(|leaf| leaf.tensor(&device).require_grad());
    let output = kernel(tensors.clone());
    let expected = formula(&leaves);
    assert_eq!(output.dims(), expected.dims, "{name}");
    let weights = Matrix::random(expected.dims, 77, 1.0);
    let grads = (output.clone() * weights.tensor(&device)).sum().backward();

    let found = output.inner().into_data().try_into_vec::<f32>().expect("f32");
    let apart: f64 = found.iter().zip(&expected.values).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum::<f64>().sqrt();
    let size = inner(&expected.values, &expected.values).sqrt();
    assert!(apart <= TOLERANCE * size, "{name}: the output is off by {:e}", apart / size);

    for (index, leaf) in leaves.iter().enumerate() {
        let gradient = tensors[index].grad(&grads).expect("every leaf has a gradient");
        let gradient = gradient.into_data().try_into_vec::<f32>().expect("f32");
        let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
        let norm = inner(&gradient, &gradient).sqrt();
        for salt in 0..DIRECTIONS {
            let direction = Matrix::random(leaf.dims, 100 + salt, 1.0);
            let at = |by: f64| {
                let mut leaves = leaves.clone();
                leaves[index] = leaf.moved(&direction, by);
                inner(&formula(&leaves).values, &weights.values)
            };
            let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let slope = inner(&gradient, &direction.values);
            let scale = norm * inner(&direction.values, &direction.values).sqrt();
            let error = (slope - difference).abs() / scale.max(1e-12);
            assert!(error < TOLERANCE, "{name}, leaf {index}: {slope} and {difference}, off by {error:e}");
        }
    }
}

const EPS: f64 = 1e-5;

fn rms_norm(input: &Matrix, gain: &Matrix) -> Matrix {
    let width = input.dims[1];
    let rows = (0..input.dims[0]).flat_map(|row| {
        let row = input.row(row);
        let scale = 1.0 / (inner(row, row) / width as f64 + EPS).sqrt();
        row.iter().zip(&gain.values).map(move |(x, gain)| x * scale * gain).collect::<Vec<_>>()
    });
    Matrix { dims: input.dims, values: rows.collect() }
}

fn plus(stream: &Matrix, branch: &Matrix, scale: f64) -> Matrix {
    stream.moved(branch, scale)
}

fn swiglu(gate_up: &Matrix) -> Matrix {
    let d_ff = gate_up.dims[1] / 2;
    let rows = (0..gate_up.dims[0]).flat_map(|row| {
        let (gate, up) = gate_up.row(row).split_at(d_ff);
        gate.iter().zip(up).map(|(x, up)| x / (1.0 + (-x).exp()) * up).collect::<Vec<_>>()
    });
    Matrix { dims: [gate_up.dims[0], d_ff], values: rows.collect() }
}

/// Causal attention, sequence by sequence and head by head.
fn attention(qkv: &Matrix, layout: AttentionLayout, context: usize, theta: f64) -> Matrix {
    let AttentionLayout { n_heads, n_kv_heads, head_dim } = layout;
    let half = head_dim / 2;
    let rotated = |token: usize, from: usize| {
        let row = &qkv.row(token)[from..from + head_dim];
        let mut turned = vec![0.0; head_dim];
        for pair in 0..half {
            let angle = (token % context) as f64 / theta.powf(2.0 * pair as f64 / head_dim as f64);
            // The kernels' table of angles is of 32-bit floats.
            let (cos, sin) = (f64::from(angle.cos() as f32), f64::from(angle.sin() as f32));
            turned[pair] = row[pair] * cos - row[pair + half] * sin;
            turned[pair + half] = row[pair + half] * cos + row[pair] * sin;
        }
        turned
    };
    let tokens = qkv.dims[0];
    let mut values = vec![0.0; tokens * n_heads * head_dim];
    for token in 0..tokens {
        let first = token / context * context;
        for head in 0..n_heads {
            let key_head = head / (n_heads / n_kv_heads);
            let query = rotated(token, head * head_dim);
            let key_at = (n_heads + key_head) * head_dim;
            let value_at = (n_heads + n_kv_heads + key_head) * head_dim;
            let scores: Vec<f64> = (first..=token)
                .map(|other| inner(&query, &rotated(other, key_at)) / (head_dim as f64).sqrt())
                .collect();
            let highest = scores.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
            for (other, score) in (first..=token).zip(scores) {
                let probability = (score - highest).exp() / sum;
                let value = &qkv.row(other)[value_at..value_at + head_dim];
                let into = &mut values[(token * n_heads + head) * head_dim..][..head_dim];
                into.iter_mut().zip(value).for_each(|(into, value)| *into += probability * value);
            }
        }
    }
    Matrix { dims: [tokens, n_heads * head_dim], values }
}

/// The mean cross-entropy, and `z_weight` times the mean square of the logarithm of the sum of exponentials.
fn head_loss(hidden: &Matrix, weight: &Matrix, targets: &[usize], scale: f64, z_weight: f64) -> Matrix {
    let mut mean = 0.0;
    for (token, &target) in targets.iter().enumerate() {
        let logits: Vec<f64> =
            (0..weight.dims[0]).map(|entry| scale * inner(hidden.row(token), weight.row(entry))).collect();
        let highest = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
        let log_sum = highest + sum.ln();
        mean += (log_sum - logits[target] + z_weight * log_sum * log_sum) / targets.len() as f64;
    }
    Matrix { dims: [1, 1], values: vec![mean] }
}

fn tokens(count: usize, vocab: usize) -> (Vec<usize>, Tensor<1, Int>) {
    let tokens: Vec<usize> = (0..count).map(|index| index * 7919 % vocab).collect();
    let indices: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
    (tokens, Tensor::from_data(TensorData::new(indices, [count]), &Device::flex().autodiff()))
}

#[test]
fn the_embedding() {
    let (rows, indices) = tokens(23, 11);
    check(
        "embedding",
        [Matrix::random([11, 7], 1, 1.0)],
        |[table]| ops::embedding(table, indices.clone(), 12.0),
        |[table]| {
            let values = rows.iter().flat_map(|&row| table.row(row).iter().map(|value| 12.0 * value));
            Matrix { dims: [23, 7], values: values.collect() }
        },
    );
}

#[test]
fn the_norm() {
    // One channel alone is always normalised to one: its gradient is all cancellation.
    for (rows, width) in [(1, 2), (3, 7), (5, 48), (70, 33)] {
        check(
            &format!("rms_norm [{rows}, {width}]"),
            [Matrix::random([rows, width], 1, 2.0), Matrix::random([1, width], 2, 1.5)],
            |[input, gain]| ops::rms_norm(input, gain.reshape([width]), EPS as f32),
            |[input, gain]| rms_norm(input, gain),
        );
    }
}

#[test]
fn the_norm_and_the_linear_layer_after_it() {
    for (rows, from, to) in [(1, 3, 5), (9, 16, 48), (65, 20, 17)] {
        check(
            &format!("norm_linear [{rows}, {from}] to {to}"),
            [
                Matrix::random([rows, from], 1, 2.0),
                Matrix::random([1, from], 2, 1.5),
                Matrix::random([from, to], 3, 0.5),
            ],
            |[input, gain, weight]| ops::norm_linear(input, gain.reshape([from]), weight, EPS as f32, Precision::Fp32),
            |[input, gain, weight]| rms_norm(input, gain).times(weight),
        );
    }
}

#[test]
fn the_linear_layer_with_its_residual() {
    for (rows, from, to) in [(1, 1, 1), (9, 16, 48), (65, 20, 17)] {
        check(
            &format!("linear_residual [{rows}, {from}] to {to}"),
            [
                Matrix::random([rows, to], 1, 1.0),
                Matrix::random([rows, from], 2, 1.0),
                Matrix::random([from, to], 3, 0.5),
            ],
            |[stream, input, weight]| ops::linear_residual(stream, input, weight, 0.7, Precision::Fp32),
            |[stream, input, weight]| plus(stream, &input.times(weight), f64::from(0.7_f32)),
        );
    }
}

#[test]
fn swiglu_with_the_linear_layer_after_it_and_its_residual() {
    for (rows, d_ff, to) in [(1, 1, 1), (9, 16, 32), (65, 33, 20)] {
        check(
            &format!("swiglu_residual [{rows}, {d_ff}] to {to}"),
            [
                Matrix::random([rows, to], 1, 1.0),
                Matrix::random([rows, 2 * d_ff], 2, 5.0),
                Matrix::random([d_ff, to], 3, 0.5),
            ],
            |[stream, gate_up, weight]| ops::swiglu_residual(stream, gate_up, weight, 0.7, Precision::Fp32),
            |[stream, gate_up, weight]| plus(stream, &swiglu(gate_up).times(weight), f64::from(0.7_f32)),
        );
    }
}

#[test]
fn causal_attention() {
    let cases = [
        // batch, context, query heads, key heads, head width
        (1, 1, 1, 1, 2),
        (1, 5, 2, 2, 4),
        (2, 17, 4, 2, 8),
        (1, 65, 3, 1, 16),
        (1, 130, 2, 1, 6),
    ];
    for (batch, context, n_heads, n_kv_heads, head_dim) in cases {
        let layout = AttentionLayout { n_heads, n_kv_heads, head_dim };
        let rope = RopeTable::new(context, head_dim, 10_000.0);
        check(
            &format!("attention {batch} x {context}, {layout:?}"),
            [Matrix::random([batch * context, layout.qkv_width()], 4, 2.0)],
            |[qkv]| ops::causal_attention(qkv, layout, context, &rope),
            |[qkv]| attention(qkv, layout, context, 10_000.0),
        );
    }
}

#[test]
fn the_head_and_the_loss() {
    for (rows, width, vocab) in [(1, 2, 2), (7, 5, 11), (40, 16, 33)] {
        let (targets, indices) = tokens(rows, vocab);
        for z_weight in [0.0, 1e-4, 0.3] {
            check(
                &format!("head_loss [{rows}, {width}] x {vocab}, z {z_weight}"),
                [Matrix::random([rows, width], 1, 3.0), Matrix::random([vocab, width], 2, 1.0)],
                |[hidden, weight]| {
                    let loss = ops::head_loss(hidden, weight, indices.clone(), 0.5, z_weight, Precision::Fp32);
                    loss.objective.reshape([1, 1])
                },
                |[hidden, weight]| head_loss(hidden, weight, &targets, 0.5, f64::from(z_weight)),
            );
        }
    }
}
