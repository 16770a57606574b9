//! Loss and gradients of a batch, with two ways through the backward pass.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Int, Tensor};

use crate::model::MiniCpm;

/// What the backward pass finds of the forward pass.
///
/// This trades memory for time and changes no bit of the result: the same operations run again on the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// Everything that its derivatives need.
    Kept,
    /// Only the residual stream before each block; the rest is recomputed one block at a time, for a third more work.
    Recomputed,
}

/// What is differentiated: `share * (cross_entropy + z_weight * z_loss)`, of means over the tokens given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Differentiated {
    /// The part that these tokens are of a batch, by weight.
    pub share: f64,
    /// The weight of the z-loss ([`crate::ops::head_loss`]); zero leaves it out.
    pub z_weight: f64,
}

impl MiniCpm {
    /// The mean cross-entropy, in nats a token, and the gradients of what is differentiated.
    ///
    /// # Shapes
    /// - as [`MiniCpm::loss`].
    #[must_use]
    pub fn gradients(
        &self,
        inputs: Tensor<2, Int>,
        targets: Tensor<1, Int>,
        differentiated: Differentiated,
        activations: Activations,
    ) -> (f64, GradientsParams) {
        let Differentiated { share, z_weight } = differentiated;
        let of_share = |loss: Tensor<1>| if share < 1.0 { loss.mul_scalar(share) } else { loss };
        let value = |loss: Tensor<1>| f64::from(loss.into_scalar::<f32>());
        if activations == Activations::Kept {
            let loss = self.head_loss(self.stream(inputs), targets, z_weight);
            let gradients = GradientsParams::from_grads(of_share(loss.objective).backward(), self);
            // Read last: a GPU is not kept waiting between the passes.
            return (value(loss.cross_entropy), gradients);
        }

        let [_, context] = inputs.dims();
        let constant = self.valid();
        let mut stream = constant.embed(inputs.clone().inner());
        let mut before = Vec::with_capacity(constant.blocks.len());
        for block in &constant.blocks {
            before.push(stream.clone());
            stream = block.forward(stream, context, self.precision);
        }

        let mut total = GradientsParams::new();
        let input = leaf(stream);
        let loss = self.head_loss(input.clone(), targets, z_weight);
        let mut gradient = self.collect(of_share(loss.objective).backward(), &input, &mut total);
        for (block, stream) in self.blocks.iter().zip(before).rev() {
            let input = leaf(stream);
            let output = block.forward(input.clone(), context, self.precision);
            gradient = self.collect(backward(output, gradient), &input, &mut total);
        }
        let grads = backward(self.embed(inputs), gradient);
        self.add(GradientsParams::from_grads(grads, self), &mut total);
        (value(loss.cross_entropy), total)
    }

    /// Adds the gradients of parameters to the total, and returns that of the input.
    fn collect(&self, mut grads: Gradients, input: &Tensor<2>, total: &mut GradientsParams) -> Tensor<2> {
        let gradient = input.grad_remove(&mut grads).expect("the input is tracked");
        self.add(GradientsParams::from_grads(grads, self), total);
        gradient
    }

    /// Adds gradients to those gathered so far. Either may lack parameters.
    pub fn add(&self, added: GradientsParams, total: &mut GradientsParams) {
        self.visit(&mut Add { added, total });
    }
}

/// A tensor cut off from the graph that produced it, with gradients tracked from here on.
fn leaf(stream: Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(stream).require_grad()
}

/// The backward pass from an output whose own gradient is known.
fn backward(output: Tensor<2>, gradient: Tensor<2>) -> Gradients {
    (output * Tensor::from_inner(gradient)).sum().backward()
}

struct Add<'a> {
    added: GradientsParams,
    total: &'a mut GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(added) = self.added.remove::<D>(param.id) else { return };
        let sum = match self.total.remove::<D>(param.id) {
            Some(total) => total + added,
            None => added,
        };
        self.total.register(param.id, sum);
    }
}
