//! What decides a model's arithmetic.

use serde::{Deserialize, Serialize};

use crate::shape::Shape;

/// The Tensor-Program scalings that let hyper-parameters of a narrow model serve a wide one (Table 7 of the paper).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorProgram {
    /// The embedding's output is multiplied by this.
    pub scale_emb: f64,
    /// Each block's two outputs are multiplied by this over sqrt(L) before they join the residual stream.
    pub scale_depth: f64,
    /// Standard deviation of the embedding's initial values. That of a matrix is this over sqrt(d_model / d_base).
    pub init_std: f64,
    /// The width at which the scalings do nothing: matrices train at lr / (d_model / d_base), and logits are divided by
    /// the same ratio. 256 in the paper's code, which the paper itself never prints.
    pub d_base: u32,
}

/// Everything that decides a model's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The dimensions.
    pub shape: Shape,
    /// Entries of the embedding table.
    pub vocab: u32,
    /// Whether the head is the embedding table.
    pub tied: bool,
    /// How the parts are scaled.
    pub tensor_program: TensorProgram,
    /// Base of the rotary position embedding.
    pub rope_theta: f64,
    /// Added to the mean square inside RMSNorm.
    pub norm_eps: f64,
}

impl TensorProgram {
    /// The paper's values, with the base width of its published code.
    pub const PAPER: Self = Self { scale_emb: 12.0, scale_depth: 1.4, init_std: 0.1, d_base: 256 };

    /// Standard deviation of an ordinary transformer's initial values: GPT-2's, and the default of the configurations in
    /// Hugging Face transformers (`initializer_range`).
    pub const STANDARD_INIT_STD: f64 = 0.02;

    /// The ordinary parametrisation of a shape: the values with which every scaling is exactly one, so that a stage without
    /// scalings needs no special case.
    #[must_use]
    pub fn standard(shape: &Shape, init_std: f64) -> Self {
        Self { scale_emb: 1.0, scale_depth: f64::from(shape.n_layers).sqrt(), init_std, d_base: shape.d_model }
    }
}

impl ModelSpec {
    /// Base of the rotary position embedding in the paper's models.
    pub const ROPE_THETA: f64 = 10_000.0;

    /// Added to the mean square inside RMSNorm in the paper's models.
    pub const NORM_EPS: f64 = 1e-5;

    /// A model like the paper's: with its scalings, and a head that is tied to the embedding.
    #[must_use]
    pub fn paper(shape: Shape, vocab: u32) -> Self {
        let (tensor_program, rope_theta, norm_eps) = (TensorProgram::PAPER, Self::ROPE_THETA, Self::NORM_EPS);
        Self { shape, vocab, tied: true, tensor_program, rope_theta, norm_eps }
    }

    /// d_model / d_base: how much wider the model is than the one that the hyper-parameters were tuned on.
    #[must_use]
    pub fn width_ratio(&self) -> f64 {
        f64::from(self.shape.d_model) / f64::from(self.tensor_program.d_base)
    }

    /// scale_depth / sqrt(L): what each block's two outputs are multiplied by.
    #[must_use]
    pub fn residual_scale(&self) -> f64 {
        self.tensor_program.scale_depth / f64::from(self.shape.n_layers).sqrt()
    }

    /// Standard deviation of the initial values of the matrices inside blocks.
    #[must_use]
    pub fn matrix_init_std(&self) -> f64 {
        self.tensor_program.init_std / self.width_ratio().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_parametrisation_scales_nothing_to_the_bit() {
        for (name, shape) in crate::ladder::all() {
            let tensor_program = TensorProgram::standard(&shape, TensorProgram::STANDARD_INIT_STD);
            let model = ModelSpec { tensor_program, ..ModelSpec::paper(shape, 300) };
            let scalings = [tensor_program.scale_emb, model.residual_scale(), model.width_ratio()];
            assert_eq!(scalings, [1.0; 3], "{name}");
            for group in model.param_groups() {
                assert_eq!(group.lr_multiplier, 1.0, "{name}: {}", group.path);
                assert!(group.init_std.is_none_or(|std| std == 0.02), "{name}: {}", group.path);
            }
        }
    }
}
