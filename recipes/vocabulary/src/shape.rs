//! Model shapes, and the exact counts that follow from them.

use serde::{Deserialize, Serialize};

use crate::units::Flops;

/// The dimensions of a MiniCPM model: a pre-norm decoder with RoPE, SwiGLU and grouped-query attention, no biases.
///
/// The paper's wind tunnel is its Table 8; [`crate::ladder`] has those rows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Width of the residual stream, d_m in the paper.
    pub d_model: u32,
    /// Width of the feed-forward layer, d_ff.
    pub d_ff: u32,
    /// Width of one attention head, d_h.
    pub head_dim: u32,
    /// Query heads, n_q.
    pub n_heads: u32,
    /// Key and value heads, n_kv: divides `n_heads`; equal to it for plain multi-head attention.
    pub n_kv_heads: u32,
    /// Transformer blocks, L.
    pub n_layers: u32,
}

impl Shape {
    /// The shape at another width and the same depth: as many heads and feed-forward units in proportion, each head as wide
    /// as before. `None` unless all of these are whole numbers.
    #[must_use]
    pub fn at_width(&self, d_model: u32) -> Option<Self> {
        let scaled = |dimension: u32| {
            let product = u64::from(dimension) * u64::from(d_model);
            let whole = product > 0 && product.is_multiple_of(u64::from(self.d_model));
            whole.then(|| u32::try_from(product / u64::from(self.d_model)).ok()).flatten()
        };
        let (d_ff, n_heads, n_kv_heads) = (scaled(self.d_ff)?, scaled(self.n_heads)?, scaled(self.n_kv_heads)?);
        Some(Self { d_model, d_ff, n_heads, n_kv_heads, ..*self })
    }

    /// N: parameters without the embedding and the head, but with the gains of RMSNorm.
    ///
    /// This is the count that reproduces the paper's 1,247,442,432 and 2,442,057,984 to the digit.
    #[must_use]
    pub fn non_embedding_params(&self) -> u64 {
        let [d, ff] = [self.d_model, self.d_ff].map(u64::from);
        let query = u64::from(self.n_heads) * u64::from(self.head_dim);
        let key_value = u64::from(self.n_kv_heads) * u64::from(self.head_dim);
        let attention = 2 * d * query + 2 * d * key_value;
        u64::from(self.n_layers) * (attention + 3 * d * ff + 2 * d) + d
    }

    /// All parameters: N, the embedding, and the head unless it is tied to the embedding.
    #[must_use]
    pub fn total_params(&self, vocab: u32, tied: bool) -> u64 {
        let table = u64::from(vocab) * u64::from(self.d_model);
        self.non_embedding_params() + table * if tied { 1 } else { 2 }
    }

    /// Parameters of the matrices that a token is multiplied by: blocks and head, without gains and the embedding look-up.
    #[must_use]
    pub fn matmul_params(&self, vocab: u32) -> u64 {
        let gains = u64::from(self.d_model) * (2 * u64::from(self.n_layers) + 1);
        self.non_embedding_params() - gains + u64::from(vocab) * u64::from(self.d_model)
    }

    /// Operations to train on one token at this context: three times the forward pass, which multiplies and adds once
    /// per matrix parameter and attends to half of the context on average.
    ///
    /// This is what a step really costs. The paper's C = 6ND ([`Shape::paper_flops`]) leaves out the head and attention,
    /// which are most of the work at small widths.
    #[must_use]
    pub fn training_flops_per_token(&self, vocab: u32, context: u32) -> Flops {
        let matrices = 6.0 * self.matmul_params(vocab) as f64;
        let query = f64::from(self.n_heads) * f64::from(self.head_dim);
        let attention = 6.0 * f64::from(self.n_layers) * query * f64::from(context);
        Flops(matrices + attention)
    }

    /// C = 6ND, the paper's section 4.5.
    #[must_use]
    pub fn paper_flops(&self, tokens: u64) -> Flops {
        Flops(6.0 * self.non_embedding_params() as f64 * tokens as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_shape_has_more_of_the_same_heads() {
        let tiny = |name| crate::ladder::find(name).expect("is there");
        assert_eq!(tiny("tiny-32").at_width(128), Some(tiny("tiny-128")));
        assert_eq!(tiny("tiny-128").at_width(32), Some(tiny("tiny-32")));
        assert_eq!(tiny("tiny-32").at_width(40), None, "two and a half heads");
        assert_eq!(tiny("tiny-32").at_width(0), None);
        assert_eq!(Shape { d_ff: u32::MAX, ..tiny("tiny-32") }.at_width(64), None, "no number that large");
    }

    #[test]
    fn small_counts_can_be_checked_by_hand() {
        let shape = Shape { d_model: 4, d_ff: 6, head_dim: 2, n_heads: 2, n_kv_heads: 1, n_layers: 3 };
        // q, o: 4x4 each; k, v: 4x2 each; gate, up, down: 4x6 each; two gains of 4; a last gain of 4.
        assert_eq!(shape.non_embedding_params(), 3 * (32 + 16 + 72 + 8) + 4);
        assert_eq!(shape.total_params(10, true), shape.non_embedding_params() + 40);
        assert_eq!(shape.total_params(10, false), shape.non_embedding_params() + 80);
        assert_eq!(shape.matmul_params(10), 3 * (32 + 16 + 72) + 40);
        let context = 8;
        let attention = 3 * 3 * 2 * 2 * 4 * 8 / 2; // blocks, forward and twice backward, QK and PV, 2 per multiply-add
        assert_eq!(shape.training_flops_per_token(10, context).0, f64::from(6 * 400 + attention));
    }
}
