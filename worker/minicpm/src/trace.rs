//! The intermediate results of a forward pass, for measuring how large they are.
//!
//! This is a separate pass: the training pass holds neither the blocks' outputs nor the logits, and pays nothing for
//! being observed.

use burn::tensor::{Int, Tensor};

use crate::model::MiniCpm;

/// The activations of a forward pass.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The embedding's output, scaled: where the residual stream begins, `[tokens, d_model]`.
    pub embedding: Tensor<2>,
    /// The output of each block's attention before it is scaled and added to the stream, `[tokens, d_model]`.
    pub attention: Vec<Tensor<2>>,
    /// Likewise of each block's feed-forward layer.
    pub mlp: Vec<Tensor<2>>,
    /// The residual stream after the last block, `[tokens, d_model]`.
    pub stream: Tensor<2>,
    /// The logits, `[tokens, vocab]`.
    pub logits: Tensor<2>,
}

impl MiniCpm {
    /// The activations of a forward pass. The stream and the logits are those of [`MiniCpm::logits`], to the bit.
    ///
    /// # Shapes
    /// - `inputs`: `[batch, context]`.
    #[must_use]
    pub fn trace(&self, inputs: Tensor<2, Int>) -> Trace {
        let [_, context] = inputs.dims();
        let embedding = self.embed(inputs);
        let mut stream = embedding.clone();
        let (mut attention, mut mlp) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            let scale = block.residual_scale;
            attention.push(block.attention.alone(stream.clone(), &block.attention_norm, context, self.precision));
            stream = block.attention.add_to(stream, &block.attention_norm, context, scale, self.precision);
            mlp.push(block.mlp.alone(stream.clone(), &block.mlp_norm, self.precision));
            stream = block.mlp.add_to(stream, &block.mlp_norm, scale, self.precision);
        }
        Trace { embedding, attention, mlp, logits: self.head_logits(stream.clone()), stream }
    }
}
