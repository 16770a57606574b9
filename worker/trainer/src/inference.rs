//! Computes with a checkpoint without training it.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use minicpm::{Compute, MiniCpm, MiniCpmConfig};

use crate::fit::{FitError, with_weights};
use crate::snapshot::Snapshot;

/// The model of a checkpoint on a device.
#[derive(Debug)]
pub struct Inference {
    model: MiniCpm,
    compute: Compute,
    device: Device,
    vocab: u32,
    context: usize,
}

/// A checkpoint that cannot be used for inference.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The checkpoint does not name its model.
    #[error("the checkpoint does not say which model it is of: an early version of this program wrote it")]
    Undescribed,
    /// A tensor does not match the model that the checkpoint names.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// A token is outside the vocabulary.
    #[error("token {token} at position {position} is not in the vocabulary of {vocab}")]
    Token {
        token: i64,
        position: usize,
        /// Vocabulary size of the model.
        vocab: u32,
    },
    /// A sequence is empty or longer than announced.
    #[error("a sequence of {found} tokens, where 1 to {context} were announced")]
    Length {
        /// Its length.
        found: usize,
        /// Maximum length, as announced.
        context: usize,
    },
}

impl Inference {
    /// Loads a checkpoint's model for sequences of up to `context` tokens. Longer sequences than in training are
    /// possible, as far as the rotary position embedding generalises.
    pub fn load(snapshot: &Snapshot, context: usize, compute: &Compute) -> Result<Self, InferenceError> {
        let spec = snapshot.description.ok_or(InferenceError::Undescribed)?.model;
        let device = compute.device();
        let config = MiniCpmConfig { spec, context };
        let model = compute.install(|| with_weights(config.init(0, &device), snapshot).map(|model| model.valid()))?;
        Ok(Self { model, compute: compute.clone(), device: device.inner(), vocab: spec.vocab, context })
    }

    /// Vocabulary size.
    #[must_use]
    pub fn vocab(&self) -> u32 {
        self.vocab
    }

    /// Unnormalised log-probabilities of the token after each position of a sequence.
    ///
    /// # Shapes
    /// - `tokens`: `[tokens]`, one sequence from its beginning;
    /// - returns `[tokens, vocab]` in row-major order.
    pub fn logits(&self, tokens: &[i64]) -> Result<Vec<f32>, InferenceError> {
        if tokens.is_empty() || tokens.len() > self.context {
            return Err(InferenceError::Length { found: tokens.len(), context: self.context });
        }
        let outside = |token: &i64| !(0..i64::from(self.vocab)).contains(token);
        if let Some(position) = tokens.iter().position(outside) {
            return Err(InferenceError::Token { token: tokens[position], position, vocab: self.vocab });
        }
        let values: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let logits = self.compute.install(|| {
            let inputs = Tensor::<2, Int>::from_data(TensorData::new(values, [1, tokens.len()]), &self.device);
            self.model.logits(inputs).into_data()
        });
        Ok(logits.try_into_vec::<f32>().expect("logits are 32-bit floats"))
    }
}
