//! Names of tensors in Windtunnel ("ours") and in `transformers` ("theirs").

use vocabulary::ModelSpec;

/// Ours: the embedding table, `[vocab, d_model]`.
pub(crate) const EMBEDDING: &str = "embedding";
/// Ours: the gain before the head, `[d_model]`.
pub(crate) const NORM: &str = "norm.gain";
/// Ours: the head's table if it is not tied to the embedding, `[vocab, d_model]`.
pub(crate) const HEAD: &str = "head";

/// Theirs: the embedding table.
pub(crate) const THEIR_EMBEDDING: &str = "model.embed_tokens.weight";
/// Theirs: the gain before the head.
pub(crate) const THEIR_NORM: &str = "model.norm.weight";
/// Theirs: the head's table.
pub(crate) const THEIR_HEAD: &str = "lm_head.weight";

/// Widths of a model, as array lengths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Widths {
    pub(crate) vocab: usize,
    pub(crate) d_model: usize,
    pub(crate) d_ff: usize,
    /// All query heads together.
    pub(crate) query: usize,
    /// All key heads together, and all value heads.
    pub(crate) key: usize,
}

impl Widths {
    pub(crate) fn of(model: &ModelSpec) -> Self {
        let shape = &model.shape;
        let [vocab, d_model, d_ff, head_dim] =
            [model.vocab, shape.d_model, shape.d_ff, shape.head_dim].map(|n| n as usize);
        let (query, key) = (shape.n_heads as usize * head_dim, shape.n_kv_heads as usize * head_dim);
        Self { vocab, d_model, d_ff, query, key }
    }
}

/// Prefixes of one block's tensor names.
#[derive(Debug, Clone)]
pub(crate) struct BlockNames(u32);

impl BlockNames {
    pub(crate) fn of(index: u32) -> Self {
        Self(index)
    }

    /// Our name of a tensor.
    pub(crate) fn ours(&self, part: &str) -> String {
        format!("blocks.{}.{part}", self.0)
    }

    /// Their name of a tensor.
    pub(crate) fn theirs(&self, part: &str) -> String {
        format!("model.layers.{}.{part}.weight", self.0)
    }
}

/// One of our matrices in a block, `[from, to]`, and the matrices of theirs, each `[to, from]`, that it concatenates.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    /// Our name.
    pub(crate) ours: &'static str,
    /// Input width.
    pub(crate) from: usize,
    /// Their names, each with its output width.
    pub(crate) theirs: Vec<(&'static str, usize)>,
    /// Whether its output is added to the residual stream.
    pub(crate) is_output: bool,
}

impl Packed {
    /// Total output width.
    pub(crate) fn to(&self) -> usize {
        self.theirs.iter().map(|(_, width)| width).sum()
    }
}

/// The matrices of a block.
pub(crate) fn matrices(widths: Widths) -> [Packed; 4] {
    let Widths { d_model, d_ff, query, key, .. } = widths;
    let packed = |ours, from, theirs, is_output| Packed { ours, from, theirs, is_output };
    [
        packed(
            "attention.qkv",
            d_model,
            vec![("self_attn.q_proj", query), ("self_attn.k_proj", key), ("self_attn.v_proj", key)],
            false,
        ),
        packed("attention.out", query, vec![("self_attn.o_proj", d_model)], true),
        packed("mlp.gate_up", d_model, vec![("mlp.gate_proj", d_ff), ("mlp.up_proj", d_ff)], false),
        packed("mlp.down", d_ff, vec![("mlp.down_proj", d_model)], true),
    ]
}

/// The gains of a block: our name and theirs.
pub(crate) const GAINS: [(&str, &str); 2] =
    [("attention_norm.gain", "input_layernorm"), ("mlp_norm.gain", "post_attention_layernorm")];

/// Every parameter of a model: its name in a checkpoint, and its shape.
#[must_use]
pub fn parameters(model: &ModelSpec) -> Vec<(String, Vec<usize>)> {
    let widths = Widths::of(model);
    let table = vec![widths.vocab, widths.d_model];
    let mut all = vec![(EMBEDDING.to_owned(), table.clone()), (NORM.to_owned(), vec![widths.d_model])];
    if !model.tied {
        all.push((HEAD.to_owned(), table));
    }
    for block in (0..model.shape.n_layers).map(BlockNames::of) {
        all.extend(GAINS.iter().map(|(gain, _)| (block.ours(gain), vec![widths.d_model])));
        all.extend(matrices(widths).iter().map(|packed| (block.ours(packed.ours), vec![packed.from, packed.to()])));
    }
    all
}
