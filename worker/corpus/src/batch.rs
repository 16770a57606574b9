//! Training batches, as a pure function of the order's seed and the step.
//!
//! The tokens of a split are cut into adjacent windows of one context each. An epoch is a permutation of the windows, a
//! different one every time. No state records how far training has come, so a stage can start at any step.
//!
//! With several domains, a mixture says which domain each sequence comes from and how many of its sequences came
//! before; each domain has its own windows and epochs.

use vocabulary::mixture::{Turn, Turns};
use vocabulary::{MAX_DOMAINS, MAX_ROWS};

use crate::dataset::OpenDataset;
use crate::order::Permutation;

/// Approximate size of a validation batch, in tokens.
const VALIDATION_BATCH_TOKENS: u64 = 4096;

/// Token sequences, row-major, `sequences` by `context`. `targets` is `inputs` shifted by one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Tokens the model sees.
    pub inputs: Vec<i32>,
    /// The token that follows each of them.
    pub targets: Vec<i32>,
    /// Number of rows.
    pub sequences: usize,
    /// Tokens per row.
    pub context: usize,
}

/// The data cannot provide the requested batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The batch is empty.
    #[error("a batch has at least one sequence of at least one token")]
    Empty,
    /// The training text is shorter than one sequence.
    #[error("{tokens} training tokens are fewer than one sequence of {context}")]
    TooFewToTrain {
        /// Training tokens.
        tokens: u64,
        /// Tokens per sequence.
        context: u32,
    },
    /// The stage's mixture names domains that the data lacks, or the data has domains and the stage no mixture.
    #[error("the stage's mixture does not match the data's {domains} domains")]
    Mixture {
        /// Domains of the data.
        domains: usize,
    },
    /// The held-out text is too short.
    #[error("{tokens} held-out tokens are fewer than the {asked} requested")]
    TooFewHeldOut {
        /// Held-out tokens.
        tokens: u64,
        /// Tokens requested for the measurement.
        asked: u64,
    },
    /// A token beyond the vocabulary: the files were changed after they were written.
    #[error("token {token} is outside the vocabulary of {vocab}: the dataset is damaged")]
    NotInVocabulary {
        /// The offending token.
        token: u32,
        /// Vocabulary size.
        vocab: u32,
    },
}

impl Batch {
    fn with_room(sequences: usize, context: usize) -> Self {
        let room = || Vec::with_capacity(sequences * context);
        Self { inputs: room(), targets: room(), sequences, context }
    }

    /// Adds a row from a window of `context + 1` tokens.
    fn push(&mut self, window: &[u32], vocab: u32) -> Result<(), BatchError> {
        if let Some(&token) = window.iter().find(|&&token| token >= vocab) {
            return Err(BatchError::NotInVocabulary { token, vocab });
        }
        // Vocabularies are smaller than 2^31.
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
    /// Fails if the text is shorter than one sequence, or damaged.
    pub fn train_batch(&self, order_seed: u64, step: u64, batch: &vocabulary::Batch) -> Result<Batch, BatchError> {
        if !self.manifest().domains.is_empty() {
            return Err(BatchError::Mixture { domains: self.manifest().domains.len() });
        }
        let first = u128::from(step) * u128::from(batch.sequences);
        let all = (first..first + u128::from(batch.sequences)).map(|number| Turn { domain: 0, number });
        self.rows(order_seed, batch, all)
    }

    /// The batch of a step, from data with domains.
    ///
    /// # Errors
    /// Fails if a domain does not exist, is shorter than one sequence, or is damaged.
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

    /// Assembles a batch from the next window of each sequence's domain.
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

    /// `tokens` held-out tokens, in rows of `context`: of the documents that come first in the order of measurement, which
    /// is a random one. A shorter last row becomes a batch of its own. With several domains this covers the first.
    ///
    /// # Errors
    /// Fails if the held-out text is shorter than requested, or damaged.
    pub fn validation(&self, tokens: u64, context: u32) -> Result<ValidationSet<'_>, BatchError> {
        self.validation_of(0, tokens, context)
    }

    /// Like [`Self::validation`], for each domain in order, or for the whole text if there are no domains.
    ///
    /// # Errors
    /// Fails if the held-out text of a domain is shorter than requested, or damaged.
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
        let mut groups = self.groups(part, tokens);
        let mut group = 0;
        let mut bytes = 0;
        let mut chunk = Vec::new();
        let mut at = 0;
        while at < tokens {
            let count = (tokens - at).min(VALIDATION_BATCH_TOKENS);
            chunk.clear();
            self.read_validation(part, at + 1, count as usize, &mut chunk);
            for (at, &token) in (at..).zip(&chunk) {
                let of_token = self.bytes_of(token);
                bytes += of_token;
                while groups.get(group).is_some_and(|found: &Group| found.end <= at) {
                    group += 1;
                }
                if let Some(group) = groups.get_mut(group) {
                    group.bytes += of_token;
                }
            }
            at += count;
        }
        Ok(ValidationSet { data: self, part, tokens, bytes, groups, context: u64::from(context), at: 0 })
    }

    /// The documents behind the first `tokens` of the order of measurement, at most [`MAX_ROWS`] groups of adjacent ones.
    fn groups(&self, part: usize, tokens: u64) -> Vec<Group> {
        let documents = self.held_out_documents(part).unwrap_or_default();
        // The first token of a document is predicted from the one before it.
        let measured = documents.partition_point(|document| document.at <= tokens);
        let together = measured.div_ceil(MAX_ROWS).max(1);
        let groups = documents[..measured].chunks(together).filter_map(|group| {
            let (first, last) = (group.first()?, group.last()?);
            Some(Group { start: first.at - 1, end: (last.at - 1 + last.tokens).min(tokens), bytes: 0 })
        });
        groups.collect()
    }
}

/// Adjacent documents of a held-out set, over which losses are summed up.
///
/// Usually one document. The last one may be cut short by the number of tokens that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Its first predicted token, counted from that of the set.
    pub start: u64,
    /// One past its last.
    pub end: u64,
    /// Bytes of text that its tokens stand for.
    pub bytes: u64,
}

/// The held-out batches on which a loss is measured.
#[derive(Debug, Clone)]
pub struct ValidationSet<'a> {
    data: &'a OpenDataset,
    part: usize,
    tokens: u64,
    bytes: u64,
    groups: Vec<Group>,
    context: u64,
    at: u64,
}

impl ValidationSet<'_> {
    /// The documents it is made of, in order. Empty if the dataset does not say where they begin, as those of earlier
    /// versions do not.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Tokens predicted, over all batches.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Bytes of text that the predicted tokens stand for.
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
