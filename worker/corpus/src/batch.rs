//! Batches: what a step is trained on, as a pure function of the order's seed and the step.
//!
//! The tokens of a split are cut into windows of one context, side by side. An epoch is a permutation of the windows, and
//! each epoch has another. Nothing remembers where training is, so a stage can start at any step.
//!
//! Where there are several domains a mixture says whose turn it is, and how many sequences of that domain came before;
//! each domain has windows and epochs of its own.

use vocabulary::MAX_DOMAINS;
use vocabulary::mixture::{Turn, Turns};

use crate::dataset::OpenDataset;
use crate::order::Permutation;

/// Tokens of a validation batch, about.
const VALIDATION_BATCH_TOKENS: u64 = 4096;

/// Sequences side by side: `targets` is `inputs` moved on by one token. Row after row, `sequences` by `context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What the model sees.
    pub inputs: Vec<i32>,
    /// What it should predict.
    pub targets: Vec<i32>,
    /// Rows.
    pub sequences: usize,
    /// Tokens of a row.
    pub context: usize,
}

/// Why the data has no such batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A batch of nothing.
    #[error("a batch has at least one sequence of at least one token")]
    Empty,
    /// There is too little text to train on.
    #[error("{tokens} tokens to train on are fewer than one sequence of {context}")]
    TooFewToTrain {
        /// Tokens to train on.
        tokens: u64,
        /// Tokens of a sequence.
        context: u32,
    },
    /// The stage draws from domains that the data does not have, or does not say how to draw from those it has.
    #[error("the stage's mixture is not of the {domains} domains of the data")]
    Mixture {
        /// Domains of the data.
        domains: usize,
    },
    /// There is too little text held out.
    #[error("{tokens} held-out tokens are fewer than the {asked} asked for")]
    TooFewHeldOut {
        /// Tokens held out.
        tokens: u64,
        /// Tokens to measure on.
        asked: u64,
    },
    /// A token has no row in the embedding: the files were changed after they were written.
    #[error("token {token} is not of the vocabulary of {vocab}: the dataset is damaged")]
    NotInVocabulary {
        /// The token.
        token: u32,
        /// Entries of the tokenizer.
        vocab: u32,
    },
}

impl Batch {
    fn with_room(sequences: usize, context: usize) -> Self {
        let room = || Vec::with_capacity(sequences * context);
        Self { inputs: room(), targets: room(), sequences, context }
    }

    /// Adds a row, given one token more than a context.
    fn push(&mut self, window: &[u32], vocab: u32) -> Result<(), BatchError> {
        if let Some(&token) = window.iter().find(|&&token| token >= vocab) {
            return Err(BatchError::NotInVocabulary { token, vocab });
        }
        // A vocabulary has fewer entries than a 31-bit number.
        let signed = |tokens: &[u32]| tokens.iter().map(|&token| token as i32).collect::<Vec<_>>();
        self.inputs.extend(signed(&window[..self.context]));
        self.targets.extend(signed(&window[1..]));
        Ok(())
    }
}

impl OpenDataset {
    /// The batch of a step, from data without domains.
    ///
    /// # Errors
    /// Less text than one sequence, or damaged text.
    pub fn train_batch(&self, order_seed: u64, step: u64, batch: &vocabulary::Batch) -> Result<Batch, BatchError> {
        if !self.manifest().domains.is_empty() {
            return Err(BatchError::Mixture { domains: self.manifest().domains.len() });
        }
        let first = u128::from(step) * u128::from(batch.sequences);
        let all = (first..first + u128::from(batch.sequences)).map(|number| Turn { domain: 0, number });
        self.rows(order_seed, batch, all)
    }

    /// The batch of a step, from domains that take turns.
    ///
    /// # Errors
    /// A domain that is not there or has less text than one sequence, or damaged text.
    pub fn mixed_batch(
        &self,
        order_seed: u64,
        step: u64,
        batch: &vocabulary::Batch,
        turns: &Turns,
    ) -> Result<Batch, BatchError> {
        let domains = self.manifest().domains.len();
        if !turns.mixture().is_of(domains) {
            return Err(BatchError::Mixture { domains });
        }
        let first = u128::from(step) * u128::from(batch.sequences);
        self.rows(order_seed, batch, turns.from(first, batch.sequences as usize))
    }

    /// Sequence by sequence, each the next window of its domain.
    fn rows(
        &self,
        order_seed: u64,
        batch: &vocabulary::Batch,
        turns: impl Iterator<Item = Turn>,
    ) -> Result<Batch, BatchError> {
        let (context, sequences) = (batch.context as usize, batch.sequences as usize);
        if context == 0 || sequences == 0 {
            return Err(BatchError::Empty);
        }
        let mut result = Batch::with_room(sequences, context);
        let mut window = Vec::with_capacity(context + 1);
        let mut orders: [Option<(u128, Permutation)>; MAX_DOMAINS] = Default::default();
        for Turn { domain, number } in turns {
            let tokens = self.train_tokens(domain);
            let windows = tokens / u64::from(batch.context);
            if windows == 0 {
                return Err(BatchError::TooFewToTrain { tokens, context: batch.context });
            }
            let (epoch, index) = (number / u128::from(windows), (number % u128::from(windows)) as u64);
            let order = &mut orders[domain];
            let permutation = match order {
                Some((of, permutation)) if *of == epoch => permutation,
                _ => &mut order.insert((epoch, Permutation::new(order_seed, epoch, windows))).1,
            };
            window.clear();
            self.read_train(domain, permutation.at(index) * u64::from(batch.context), context + 1, &mut window);
            result.push(&window, self.manifest().dataset.vocab)?;
        }
        Ok(result)
    }

    /// The first `tokens` of the held-out text, in order, in rows of `context`. A last row may be shorter; it is then a
    /// batch of its own. Where there are domains it is the first one's.
    ///
    /// # Errors
    /// Less text than asked for, or damaged text.
    pub fn validation(&self, tokens: u64, context: u32) -> Result<ValidationSet<'_>, BatchError> {
        self.validation_of(0, tokens, context)
    }

    /// The same of each domain, in order; of the whole where there are none.
    ///
    /// # Errors
    /// Less text than asked for, of any of them, or damaged text.
    pub fn validation_sets(&self, tokens: u64, context: u32) -> Result<Vec<ValidationSet<'_>>, BatchError> {
        (0..self.parts()).map(|part| self.validation_of(part, tokens, context)).collect()
    }

    fn validation_of(&self, part: usize, tokens: u64, context: u32) -> Result<ValidationSet<'_>, BatchError> {
        if tokens == 0 || context == 0 {
            return Err(BatchError::Empty);
        }
        let held_out = self.validation_tokens(part);
        if held_out < tokens {
            return Err(BatchError::TooFewHeldOut { tokens: held_out, asked: tokens });
        }
        let mut bytes = 0;
        let mut chunk = Vec::new();
        let mut at = 0;
        while at < tokens {
            let count = (tokens - at).min(VALIDATION_BATCH_TOKENS);
            chunk.clear();
            self.read_validation(part, at + 1, count as usize, &mut chunk);
            bytes += chunk.iter().map(|&token| self.bytes_of(token)).sum::<u64>();
            at += count;
        }
        Ok(ValidationSet { data: self, part, tokens, bytes, context: u64::from(context), at: 0 })
    }
}

/// The held-out batches that a loss is measured on.
#[derive(Debug, Clone)]
pub struct ValidationSet<'a> {
    data: &'a OpenDataset,
    part: usize,
    tokens: u64,
    bytes: u64,
    context: u64,
    at: u64,
}

impl ValidationSet<'_> {
    /// Tokens predicted, over all batches.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Bytes of text the predicted tokens stand for.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Iterator for ValidationSet<'_> {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.tokens - self.at;
        if left == 0 {
            return None;
        }
        let context = self.context.min(left);
        let sequences = (left / context).min((VALIDATION_BATCH_TOKENS / context).max(1));
        let mut batch = Batch::with_room(sequences as usize, context as usize);
        let mut window = Vec::with_capacity(context as usize + 1);
        for _ in 0..sequences {
            window.clear();
            self.data.read_validation(self.part, self.at, context as usize + 1, &mut window);
            if let Err(error) = batch.push(&window, self.data.manifest().dataset.vocab) {
                self.at = self.tokens;
                return Some(Err(error));
            }
            self.at += context;
        }
        Some(Ok(batch))
    }
}
