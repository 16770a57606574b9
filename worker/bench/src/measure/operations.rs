//! Times each operation of a step alone, at the shapes it has there.
//!
//! The trainer reads no clock, so the time an operation takes within a step is unknown. Here each runs alone, forward
//! and backward, on caches that its predecessor has not filled; the times therefore need not add up to the step, and
//! the report states the difference.

use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use minicpm::ops::{self, AttentionLayout};
use minicpm::rope::RopeTable;
use minicpm::{MiniCpm, MiniCpmConfig};
use serde::{Deserialize, Serialize};
use trainer::StageRun;
use trainer::optimizer::Optimizer;
use vocabulary::Precision;

use super::{MeasureError, Stage, repeat};
use crate::summary::Summary;
use crate::task::Request;

/// The operations of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// Seconds of a whole step.
    pub step_seconds: f64,
    /// In the order of the forward pass.
    pub operations: Vec<Operation>,
    /// Seconds of all matrix products of a step, each alone: those of the linear layers and the head measured, those of
    /// attention assumed to run at the same rate.
    pub product_seconds: f64,
}

/// Times of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    pub name: String,
    /// How often a step performs it.
    pub count: usize,
    /// Seconds of one forward pass.
    pub forward_seconds: f64,
    /// Seconds of one backward pass.
    pub backward_seconds: f64,
}

impl Operation {
    /// Seconds a step spends on it.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.count as f64 * (self.forward_seconds + self.backward_seconds)
    }
}

impl Operations {
    /// Share of a step that is not matrix products.
    #[must_use]
    pub fn share_outside_products(&self) -> f64 {
        1.0 - self.product_seconds / self.step_seconds
    }

    /// Seconds of a step not accounted for by the operations; negative if running them in sequence saves time.
    #[must_use]
    pub fn seconds_left_over(&self) -> f64 {
        self.step_seconds - self.operations.iter().map(Operation::seconds).sum::<f64>()
    }
}

pub(super) fn measure(stage: &Stage, run: &mut StageRun, request: Request) -> Result<Operations, MeasureError> {
    run.next_step()?;
    let step = &mut || {
        let before = Instant::now();
        run.next_step()?;
        Ok(before.elapsed().as_secs_f64())
    };
    let step_seconds = median(repeat(request, step)?);
    // About two dozen operations share the time of one sample.
    let each = Request { seconds: request.seconds / 24.0, ..request };
    stage.compute.install(|| Network::of(stage, each).measure(step_seconds))
}

/// The parts of a network that are timed.
struct Network<'a> {
    stage: &'a Stage,
    device: Device,
    request: Request,
    tokens: usize,
    d_model: usize,
    d_ff: usize,
    n_layers: usize,
    vocab: usize,
    layout: AttentionLayout,
}

/// An operation's output for an input that is tracked.
type Forward<'a> = &'a dyn Fn(Tensor<2>) -> Tensor<2>;

impl<'a> Network<'a> {
    fn of(stage: &'a Stage, request: Request) -> Self {
        let (model, shape) = (&stage.spec.model, &stage.spec.model.shape);
        Self {
            stage,
            device: stage.compute.device(),
            request,
            tokens: stage.spec.batch.tokens() as usize,
            d_model: shape.d_model as usize,
            d_ff: shape.d_ff as usize,
            n_layers: shape.n_layers as usize,
            vocab: model.vocab as usize,
            layout: AttentionLayout {
                n_heads: shape.n_heads as usize,
                n_kv_heads: shape.n_kv_heads as usize,
                head_dim: shape.head_dim as usize,
            },
        }
    }

    fn measure(&self, step_seconds: f64) -> Result<Operations, MeasureError> {
        let Self { tokens, d_model, d_ff, n_layers, vocab, layout, .. } = *self;
        let context = self.stage.spec.batch.context as usize;
        let eps = self.stage.spec.model.norm_eps as f32;
        let rope = RopeTable::new(context, layout.head_dim, self.stage.spec.model.rope_theta);
        let gain = Tensor::<1>::ones([d_model], &self.device).require_grad();
        let (indices, table) = (self.indices(), self.tracked([vocab, d_model], 8));

        let (precision, stream) = (Precision::Fp32, self.tracked([tokens, d_model], 7));
        let norm_linear = |name: &str, to: usize| {
            let weight = self.tracked([d_model, to], 3);
            self.time(name, n_layers, [tokens, d_model], &|input| {
                ops::norm_linear(input, gain.clone(), weight.clone(), eps, precision)
            })
        };
        let [out, down] = [layout.query_width(), d_ff].map(|from| self.tracked([from, d_model], 4));
        let operations = vec![
            self.time("embedding", 1, [vocab, d_model], &|table| ops::embedding(table, indices.clone(), 12.0))?,
            norm_linear("norm, qkv", layout.qkv_width())?,
            self.time("attention", n_layers, [tokens, layout.qkv_width()], &|qkv| {
                ops::causal_attention(qkv, layout, context, &rope)
            })?,
            self.time("out, residual", n_layers, [tokens, layout.query_width()], &|mixed| {
                ops::linear_residual(stream.clone(), mixed, out.clone(), 0.5, precision)
            })?,
            norm_linear("norm, gate-up", 2 * d_ff)?,
            self.time("swiglu, down, residual", n_layers, [tokens, 2 * d_ff], &|gate_up| {
                ops::swiglu_residual(stream.clone(), gate_up, down.clone(), 0.5, precision)
            })?,
            self.time("norm", 1, [tokens, d_model], &|input| ops::rms_norm(input, gain.clone(), eps))?,
            self.time_loss(&|hidden| ops::cross_entropy(hidden, table.clone(), indices.clone(), 0.5, precision))?,
            self.optimizer()?,
        ];
        let widths = [
            (d_model, layout.qkv_width(), n_layers),
            (layout.query_width(), d_model, n_layers),
            (d_model, 2 * d_ff, n_layers),
            (d_ff, d_model, n_layers),
            (d_model, vocab, 1),
        ];
        let mut measured = 0.0;
        for (from, to, count) in widths {
            measured += count as f64 * self.products(from, to)?;
        }
        Ok(Operations { step_seconds, operations, product_seconds: measured * self.products_over_measured() })
    }

    /// Seconds of the three products of a linear layer, each alone: output, gradient of the input, gradient of the
    /// weight.
    fn products(&self, from: usize, to: usize) -> Result<f64, MeasureError> {
        let mut seconds = 0.0;
        for [rows, inner, columns] in [[self.tokens, from, to], [self.tokens, to, from], [from, self.tokens, to]] {
            let plain = |dims, salt| values(dims, salt, &self.device.clone().inner());
            let (left, right) = (plain([rows, inner], 1), plain([inner, columns], 2));
            let once = &mut || {
                let before = Instant::now();
                drop(ops::product(left.clone(), right.clone()));
                Ok(before.elapsed().as_secs_f64())
            };
            once()?;
            seconds += median(repeat(self.request, once)?);
        }
        Ok(seconds)
    }

    /// FLOPs of all products of a step, over those of the linear layers and the head.
    fn products_over_measured(&self) -> f64 {
        let model = &self.stage.spec.model;
        let all = model.shape.training_flops_per_token(model.vocab, self.stage.spec.batch.context).0;
        all / (6.0 * model.shape.matmul_params(model.vocab) as f64)
    }

    fn time(
        &self,
        name: &str,
        count: usize,
        input: [usize; 2],
        forward: Forward<'_>,
    ) -> Result<Operation, MeasureError> {
        let input = self.tracked(input, 1);
        let [forward_seconds, backward] = self.timed(&|| forward(input.clone()))?;
        // A backward pass that starts here begins with a gradient of ones; in a step, that gradient comes from the next
        // operation.
        let output = values(forward(input.clone()).dims(), 2, &self.device.clone().inner());
        let [_, ones] = self.timed(&|| Tensor::from_inner(output.clone()).require_grad())?;
        Ok(Operation { name: name.to_owned(), count, forward_seconds, backward_seconds: (backward - ones).max(0.0) })
    }

    /// Times the loss, whose backward pass really starts with a one.
    fn time_loss(&self, loss: &dyn Fn(Tensor<2>) -> Tensor<1>) -> Result<Operation, MeasureError> {
        let hidden = self.tracked([self.tokens, self.d_model], 1);
        let [forward_seconds, backward_seconds] = self.timed(&|| loss(hidden.clone()))?;
        Ok(Operation { name: "head, loss".to_owned(), count: 1, forward_seconds, backward_seconds })
    }

    /// Times clipping and the update, counted as forward.
    fn optimizer(&self) -> Result<Operation, MeasureError> {
        let spec = &self.stage.spec;
        let config = MiniCpmConfig { spec: spec.model, context: spec.batch.context as usize };
        let mut model: Option<MiniCpm> = Some(config.init(1, &self.device));
        let mut optimizer = Optimizer::new(spec.optimizer, &spec.model);
        let (inputs, targets) = (self.indices().reshape([-1, spec.batch.context as i32]), self.indices());
        let mut done = 0;
        let mut once = || {
            let current = model.take().expect("put back below");
            let loss = current.loss(inputs.clone(), targets.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &current);
            let before = Instant::now();
            let (updated, _) = optimizer.step(current, gradients, spec.peak_lr, done);
            let seconds = before.elapsed().as_secs_f64();
            model = Some(updated);
            done += 1;
            Ok(seconds)
        };
        once()?;
        let forward_seconds = median(repeat(self.request, &mut once)?);
        Ok(Operation { name: "clip, AdamW".to_owned(), count: 1, forward_seconds, backward_seconds: 0.0 })
    }

    /// Median seconds, forward and backward.
    fn timed<const D: usize>(&self, forward: &dyn Fn() -> Tensor<D>) -> Result<[f64; 2], MeasureError> {
        let once = &mut || {
            let before = Instant::now();
            let output = forward();
            let between = Instant::now();
            drop(output.backward());
            Ok([(between - before).as_secs_f64(), between.elapsed().as_secs_f64()])
        };
        once()?;
        let times = repeat(self.request, once)?;
        Ok([0, 1].map(|part| median(times.iter().map(|time| time[part]))))
    }

    fn tracked(&self, dims: [usize; 2], salt: u32) -> Tensor<2> {
        values(dims, salt, &self.device).require_grad()
    }

    /// A token for each position of a batch.
    fn indices(&self) -> Tensor<1, Int> {
        let token = |index: usize| (index * 7919 % self.vocab) as i32;
        let tokens: Vec<i32> = (0..self.tokens).map(token).collect();
        Tensor::from_data(TensorData::new(tokens, [self.tokens]), &self.device)
    }
}

/// Patternless numbers between -1 and 1.
///
/// # Shapes
/// - returns `dims`.
pub(super) fn values(dims: [usize; 2], salt: u32, device: &Device) -> Tensor<2> {
    let value = |index: usize| {
        let bits = (index as u32).wrapping_add(salt * 0x9e37).wrapping_mul(2_654_435_761);
        (bits ^ bits >> 15) as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let values: Vec<f32> = (0..dims[0] * dims[1]).map(value).collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

fn median(times: impl IntoIterator<Item = f64>) -> f64 {
    Summary::of(times).expect("something was timed").median
}
