//! The table of a model's parameters: how each is named, shaped, initialised and trained.
//!
//! It is the Tensor-Program rules (Table 7 of the paper) written out. There is one such table: the model is built from it,
//! the optimiser takes learning rates from it, and `windtunnel show-model` prints it.

use serde::Serialize;

use crate::model::ModelSpec;

/// Stands for a block's index in the path of a [`ParamGroup`].
const ANY_BLOCK: &str = "*";

/// A row of the table: one parameter, or the same parameter in every block.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParamGroup {
    /// The path in the model: `embedding`, or `blocks.*.attention.qkv`, where the star stands for a block's index.
    pub path: &'static str,
    /// Dimensions of one parameter: rows and columns of a matrix, or the width of a gain.
    pub shape: Vec<u32>,
    /// How many parameters the row stands for: one, or one for each block.
    pub copies: u32,
    /// Standard deviation of the initial values; `None` if they all start at one.
    pub init_std: Option<f64>,
    /// The learning rate as a multiple of the schedule's.
    pub lr_multiplier: f64,
    /// Whether weight decay applies.
    pub decayed: bool,
}

impl ParamGroup {
    /// Scalars in all of them together.
    #[must_use]
    pub fn params(&self) -> u64 {
        u64::from(self.copies) * self.shape.iter().map(|&width| u64::from(width)).product::<u64>()
    }

    /// Whether the parameter at this path, for example `blocks.0.attention.qkv`, belongs to the row.
    #[must_use]
    pub fn holds(&self, path: &str) -> bool {
        let (mut pattern, mut parts) = (self.path.split('.'), path.split('.'));
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(ANY_BLOCK), Some(part)) if block(part).is_some_and(|block| block < self.copies) => {}
                (Some(name), Some(part)) if name == part && name != ANY_BLOCK => {}
                _ => return false,
            }
        }
    }

    /// The path of each parameter of the row.
    pub fn paths(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.copies).map(|block| self.path.replace(ANY_BLOCK, &block.to_string()))
    }

    /// All paths as one, for people: `blocks.0..7.attention.qkv`.
    #[must_use]
    pub fn folded_path(&self) -> String {
        let blocks = if self.copies > 1 { format!("0..{}", self.copies - 1) } else { "0".to_owned() };
        self.path.replace(ANY_BLOCK, &blocks)
    }
}

/// A block's index as it is written in a path: decimal, without leading zeros.
fn block(part: &str) -> Option<u32> {
    let is_written_so = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    is_written_so.then(|| part.parse().ok())?
}

impl ModelSpec {
    /// The table of the model's parameters, in the order in which a token meets them. The counts add up to
    /// [`Shape::total_params`](crate::Shape::total_params).
    #[must_use]
    pub fn param_groups(&self) -> Vec<ParamGroup> {
        let shape = &self.shape;
        let [d_model, d_ff] = [shape.d_model, shape.d_ff];
        let (query, key) = (shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);

        // The three kinds of parameters.
        let table = |path| ParamGroup {
            path,
            shape: vec![self.vocab, d_model],
            copies: 1,
            init_std: Some(self.tensor_program.init_std),
            lr_multiplier: 1.0,
            decayed: true,
        };
        let matrix = |path, from, to| ParamGroup {
            path,
            shape: vec![from, to],
            copies: shape.n_layers,
            init_std: Some(self.matrix_init_std()),
            lr_multiplier: 1.0 / self.width_ratio(),
            decayed: true,
        };
        let gain = |path, copies| ParamGroup {
            path,
            shape: vec![d_model],
            copies,
            init_std: None,
            lr_multiplier: 1.0,
            decayed: false,
        };

        let mut groups = vec![
            table("embedding"),
            gain("blocks.*.attention_norm.gain", shape.n_layers),
            // Queries, keys and values side by side.
            matrix("blocks.*.attention.qkv", d_model, query + 2 * key),
            matrix("blocks.*.attention.out", query, d_model),
            gain("blocks.*.mlp_norm.gain", shape.n_layers),
            // Gate and up side by side.
            matrix("blocks.*.mlp.gate_up", d_model, 2 * d_ff),
            matrix("blocks.*.mlp.down", d_ff, d_model),
            gain("norm.gain", 1),
        ];
        if !self.tied {
            groups.push(table("head"));
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn groups_add_up() {
        for tied in [true, false] {
            let mut model = ModelSpec { tied, ..sample::stage().model };
            model.shape.n_heads = 6;
            let total: u64 = model.param_groups().iter().map(ParamGroup::params).sum();
            assert_eq!(total, model.shape.total_params(model.vocab, tied));
        }
    }

    #[test]
    fn every_path_is_of_one_group() {
        let mut model = ModelSpec { tied: false, ..sample::stage().model };
        model.shape.n_layers = 12;
        let groups = model.param_groups();
        let paths: Vec<String> = groups.iter().flat_map(ParamGroup::paths).collect();
        assert_eq!(paths.len(), 3 + 6 * 12);
        for path in &paths {
            assert_eq!(groups.iter().filter(|group| group.holds(path)).count(), 1, "{path}");
        }
        for path in ["", "blocks", "blocks.12.mlp.down", "blocks.01.mlp.down", "blocks.*.mlp.down", "norm.gain.gain"] {
            assert!(groups.iter().all(|group| !group.holds(path)), "{path}");
        }
    }

    #[test]
    fn blocks_are_folded_for_people() {
        let mut model = sample::stage().model;
        let folded = |model: &ModelSpec| model.param_groups()[2].folded_path();
        assert_eq!(folded(&model), "blocks.0..1.attention.qkv");
        model.shape.n_layers = 1;
        assert_eq!(folded(&model), "blocks.0.attention.qkv");
    }

    #[test]
    fn matrices_alone_know_the_width() {
        let mut model = sample::stage().model;
        model.tensor_program.d_base = model.shape.d_model / 4;
        for group in model.param_groups() {
            let is_matrix = group.shape.len() == 2 && group.path.starts_with("blocks.");
            assert_eq!(group.lr_multiplier, if is_matrix { 0.25 } else { 1.0 }, "{}", group.path);
            let std = model.tensor_program.init_std;
            let expected = (group.shape.len() == 2).then_some(if is_matrix { std / 2.0 } else { std });
            assert_eq!(group.init_std, expected, "{}", group.path);
            assert_eq!(group.decayed, group.shape.len() == 2, "{}", group.path);
        }
    }
}
