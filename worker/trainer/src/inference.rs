//! Computing with a checkpoint, without training it.

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

/// Why a checkpoint cannot be computed with.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// Which model it is of is not said.
    #[error("the checkpoint does not say which model it is of: an early version of this program wrote it")]
    Undescribed,
    /// Its tensors are not those of the model it says it is of.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// A token is not of the vocabulary.
    #[error("token {token} at position {position} is not in the vocabulary of {vocab}")]
    Token {
        /// Which.
        token: i64,
        /// Where.
        position: usize,
        /// Of the model.
        vocab: u32,
    },
    /// A sequence is longer than it was said to be, or empty.
    #[error("a sequence of {found} tokens, where 1 to {context} were announced")]
    Length {
        /// Its length.
        found: usize,
        /// The longest.
        context: usize,
    },
}

impl Inference {
    /// The model of a checkpoint, for sequences of up to `context` tokens. More than it was trained on is possible, and is
    /// as good as the rotary position embedding makes it.
    pub fn load(snapshot: &Snapshot, context: usize, compute: &Compute) -> Result<Self, InferenceError> {
        let spec = snapshot.description.ok_or(InferenceError::Undescribed)?.model;
        let device = compute.device();
        let config = MiniCpmConfig { spec, context };
        let model = compute.install(|| with_weights(config.init(0, &device), snapshot).map(|model| model.valid()))?;
        Ok(Self { model, compute: compute.clone(), device: device.inner(), vocab: spec.vocab, context })
    }

    /// Entries of the vocabulary.
    #[must_use]
    pub fn vocab(&self) -> u32 {
        self.vocab
    }

    /// Unnormalised log-probabilities of the token after each of a sequence.
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
