//! The device memory that training and evaluating take, estimated from a spec.
//!
//! The estimate counts the tensors that burn's automatic differentiation keeps from the forward to the backward pass, for
//! the formulas that every GPU runs, in bytes; s is 4 in fp32 and 2 in bf16. In each block a token leaves
//!
//! ```text
//! 24 d_model              the stream and its norm, before attention and before the feed-forward layer
//! 4 s w                   queries, keys, values and their mix, w = n_heads head_dim
//! 5 s d_ff                gate, its sigmoid, up, and two products
//! (4 + s) n_heads seen    exponentials and weights over the positions seen, (context + queries at once) / 2 on average
//! ```
//!
//! and the backward pass needs about as much again for one block. The head holds three matrices of the logits it computes at
//! once, and three gradients of its table: that of one piece, their sum, and their product with the table. A parameter
//! takes its value, its gradient and two moments in 32 bits, a second gradient where gradients accumulate, a third where they do
//! so in lanes, and a copy in bf16.
//!
//! A stage that records dynamics also keeps two gradients and three sets of weights. They are on the host, so they are not
//! counted.
//!
//! A fifth is added for the allocator, which hands out whole pages. `docs/design/gpu.md` compares the estimate with
//! measurements. The CPU backend's kernels take less, and much less in long contexts.

use crate::evaluation::EvaluationSpec;
use crate::model::ModelSpec;
use crate::precision::Precision;
use crate::spec::StageSpec;

/// Queries that attention processes at a time on a GPU, so that its weights do not grow with the square of the context.
pub const QUERIES_AT_ONCE: u64 = 512;

/// Logits that exist at a time on a GPU: 256 MiB of them, or those of one token if that is more.
pub const LOGITS_AT_ONCE: u64 = 1 << 26;

/// Tokens of a forward pass over held-out text, about: as many whole sequences as fit, and at least one.
pub const HELD_OUT_TOKENS_AT_ONCE: u64 = 4096;

/// Bytes of a GiB.
pub const GIB: f64 = (1u64 << 30) as f64;

/// What training a stage takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingMemory {
    /// Weights, gradients and moments, which last from the first step to the last.
    parameters: u64,
    /// The weights of all blocks in the number format of activations, if that is not the weights' own.
    copies: u64,
    /// What the forward pass through one block keeps for the backward pass.
    block: u64,
    /// The residual stream between two blocks.
    stream: u64,
    /// Logits and their gradients, at their peak.
    head: u64,
    blocks: u64,
}

impl TrainingMemory {
    /// The estimate for a stage.
    #[must_use]
    pub fn of(spec: &StageSpec) -> Self {
        let (model, batch) = (&spec.model, &spec.batch);
        let context = u64::from(batch.context);
        let gradients = match (batch.passes(), batch.lanes) {
            (1, _) => 1,
            (_, 1) => 2,
            // The pass's, its lane's, and the sum of the lanes before.
            _ => 3,
        };
        let parameters = parameters(model).saturating_mul(4 * (3 + gradients));
        Self::of_pass(model, spec.precision, u64::from(batch.micro_sequences) * context, context, parameters)
    }

    /// Of a pass over so many tokens in rows of `context`, beside parameters of so many bytes.
    fn of_pass(model: &ModelSpec, precision: Precision, tokens: u64, context: u64, parameters: u64) -> Self {
        let shape = &model.shape;
        let [d_model, d_ff, heads, head_dim, blocks] =
            [shape.d_model, shape.d_ff, shape.n_heads, shape.head_dim, shape.n_layers].map(u64::from);
        let vocab = u64::from(model.vocab);
        let number = match precision {
            Precision::Fp32 => 4,
            Precision::Bf16 => 2,
        };

        let seen = (context + context.min(QUERIES_AT_ONCE)) / 2;
        let of_token =
            24 * d_model + number * (4 * heads * head_dim + 5 * d_ff) + (4 + number) * heads.saturating_mul(seen);
        let logits = tokens.min((LOGITS_AT_ONCE / vocab).max(1)) * vocab;
        Self {
            parameters,
            copies: match precision {
                Precision::Fp32 => 0,
                Precision::Bf16 => shape.non_embedding_params().saturating_mul(number),
            },
            block: tokens.saturating_mul(of_token),
            stream: tokens.saturating_mul(number * d_model),
            head: (12 * logits).saturating_add((12 + number) * vocab * d_model),
            blocks,
        }
    }

    /// Bytes if all activations are kept for the backward pass.
    #[must_use]
    pub fn kept(&self) -> u64 {
        let activations = self.block.saturating_mul(self.blocks).saturating_add(self.copies);
        // The head's share is freed before the backward pass reaches a block.
        in_pages(self.parameters.saturating_add(activations).saturating_add(self.head.max(self.block)))
    }

    /// Bytes if the activations of one block at a time are recomputed from the residual stream: the least that a stage can
    /// be trained in.
    #[must_use]
    pub fn recomputed(&self) -> u64 {
        let between = self.stream.saturating_mul(self.blocks + 1);
        let at_once = self.head.max((2 * self.block).saturating_add(self.copies / self.blocks));
        in_pages(self.parameters.saturating_add(between).saturating_add(at_once))
    }
}

/// What an evaluation takes, in bytes: the weights, and the activations of one block or of the head at a time.
#[must_use]
pub fn evaluation_memory(spec: &EvaluationSpec) -> u64 {
    let context = spec.task.context;
    let context = u64::from(context);
    let weights = parameters(&spec.model).saturating_mul(4);
    let tokens = HELD_OUT_TOKENS_AT_ONCE.max(context);
    let pass = TrainingMemory::of_pass(&spec.model, spec.precision, tokens, context, weights);
    let at_once = pass.head.max(pass.block.saturating_add(pass.stream)).saturating_add(pass.copies);
    in_pages(weights.saturating_add(at_once))
}

fn parameters(model: &ModelSpec) -> u64 {
    model.shape.total_params(model.vocab, model.tied)
}

/// What the allocator takes for tensors of this many bytes.
fn in_pages(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 5)
}

#[cfg(test)]
mod tests {
    use crate::sample::stage as spec;
    use crate::{Batch, ModelSpec};

    use super::*;

    #[test]
    fn a_small_stage_is_counted_by_hand() {
        // d 32, ff 80, 2 heads of 16, 2 blocks, 512 entries, 16 sequences of 64 tokens in one pass.
        let memory = TrainingMemory::of(&spec());
        let parameters = 2 * (4 * 32 * 32 + 3 * 32 * 80 + 2 * 32) + 32 + 512 * 32;
        let block = 1024 * (24 * 32 + 4 * (4 * 32 + 5 * 80) + 8 * 2 * 64);
        let head = 12 * 1024 * 512 + 16 * 512 * 32;
        let kept = 16 * parameters + 2 * block + head.max(block);
        assert_eq!(memory.kept(), kept + kept / 5);
        let recomputed = 16 * parameters + 3 * 1024 * 32 * 4 + head.max(2 * block);
        assert_eq!(memory.recomputed(), recomputed + recomputed / 5);
    }

    #[test]
    fn an_evaluation_takes_less_than_training_on_as_many_tokens_a_pass() {
        let spec = StageSpec { batch: Batch { sequences: 64, context: 64, micro_sequences: 64, lanes: 1 }, ..spec() };
        let evaluation = evaluation_memory(&crate::sample::evaluation());
        assert!(evaluation < TrainingMemory::of(&spec).recomputed(), "{evaluation}");
        assert!(evaluation > 4 * spec.model.shape.total_params(spec.model.vocab, spec.model.tied));
    }

    #[test]
    fn it_grows_with_what_a_pass_takes_and_not_with_the_batch() {
        let of = |sequences, micro_sequences| {
            let batch = Batch { sequences, micro_sequences, ..spec().batch };
            TrainingMemory::of(&StageSpec { batch, ..spec() })
        };
        assert!(of(16, 8).kept() < of(16, 16).kept());
        assert_eq!(of(16, 8), of(64, 8));
    }

    #[test]
    fn half_the_numbers_take_less_and_recomputing_takes_least() {
        let shape = crate::ladder::find("0.5B").expect("is there");
        let model = ModelSpec { shape, vocab: 122_753, ..spec().model };
        let batch = Batch { sequences: 128, context: 4096, micro_sequences: 4, lanes: 1 };
        let fp32 = TrainingMemory::of(&StageSpec { model, batch, ..spec() });
        let bf16 = TrainingMemory::of(&StageSpec { model, batch, precision: Precision::Bf16, ..spec() });
        assert!(bf16.kept() < fp32.kept());
        assert!(bf16.recomputed() < bf16.kept() / 4);
        // Parameters alone: the 0.5B blocks and a table of 122,753 by 1,344, in 20 bytes each.
        assert!(bf16.recomputed() > 20 * (498_614_592 + 122_753 * 1_344));
    }

    #[test]
    fn the_largest_shapes_do_not_overflow() {
        let shape = crate::Shape {
            d_model: 65_536,
            d_ff: 262_144,
            head_dim: 1024,
            n_heads: 1024,
            n_kv_heads: 1024,
            n_layers: 1000,
        };
        let model = ModelSpec { shape, vocab: 1_048_576, ..spec().model };
        let batch = Batch { sequences: 65_536, context: 131_072, micro_sequences: 65_536, lanes: 1 };
        let memory = TrainingMemory::of(&StageSpec { model, batch, ..spec() });
        assert!(memory.kept() >= memory.recomputed() && memory.recomputed() > 1 << 50);
    }
}
