//! Byte-level BPE: every text can be tokenized, and every token stands for an exact number of bytes.
//!
//! The second property allows a loss per byte, which can be compared between tokenizers. It is the reason for refusing
//! tokenizers that are not byte-level (SentencePiece, WordPiece).

use std::collections::HashSet;

use rayon::prelude::*;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, NormalizedString, Normalizer as _, Tokenizer as Inner};

/// Token written after each document by tokenizers trained here.
pub const END_OF_DOCUMENT: &str = "<|endoftext|>";

/// Names of that token in the tokenizers of published models.
const KNOWN_ENDS: [&str; 6] = [END_OF_DOCUMENT, "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[EOS]"];

/// Smallest vocabulary: 256 bytes and the end of a document.
pub const MIN_VOCAB: u32 = 257;

/// Bytes of text a tokenizer is trained on at most; more changes no merge that matters, and the trainer counts pairs in
/// 32 bits.
pub const MAX_TRAINING_BYTES: usize = 1 << 28;

/// A tokenizer that cannot be trained, read or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The requested vocabulary cannot hold all bytes.
    #[error("a vocabulary of {asked} is too small for byte-level tokens: at least {MIN_VOCAB}")]
    VocabTooSmall {
        /// Vocabulary size requested.
        asked: u32,
    },
    #[error("train the tokenizer: {reason}")]
    Train {
        /// Message of the `tokenizers` crate.
        reason: String,
    },
    /// The file is not a `tokenizer.json`.
    #[error("not a tokenizer.json: {reason}")]
    Parse {
        /// Message of the `tokenizers` crate.
        reason: String,
    },
    /// A token does not stand for bytes.
    #[error("not a byte-level tokenizer: its token {id} is {token:?}")]
    NotByteLevel { id: u32, token: String },
    /// No known end-of-document token in the vocabulary.
    #[error("no end-of-document token in the vocabulary (known: {})", KNOWN_ENDS.join(", "))]
    NoEnd,
    #[error("tokenize a document: {reason}")]
    Encode {
        /// Message of the `tokenizers` crate.
        reason: String,
    },
    /// A document's tokens do not add up to its text.
    #[error("the tokens of a document stand for {encoded} bytes, but it has {text}: the tokenizer drops or adds text")]
    Lossy {
        /// Bytes that its tokens stand for.
        encoded: usize,
        /// Bytes of the document.
        text: usize,
    },
}

/// A tokenizer, with the byte lengths of its tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    json: String,
    end_of_document: u32,
    byte_lengths: Vec<u16>,
}

impl Tokenizer {
    /// Trains byte-level BPE on texts; the same texts in the same order give the same tokenizer.
    ///
    /// # Errors
    /// Fails if the vocabulary is smaller than [`MIN_VOCAB`]. One larger than the texts support is reduced.
    pub fn train(texts: &[&str], vocab_size: u32) -> Result<Self, TokenizerError> {
        if vocab_size < MIN_VOCAB {
            return Err(TokenizerError::VocabTooSmall { asked: vocab_size });
        }
        let reason = |error: tokenizers::Error| TokenizerError::Train { reason: error.to_string() };
        let mut inner = Inner::new(BPE::default());
        inner.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
        inner.with_decoder(Some(ByteLevel::new(false, false, true)));
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size as usize)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<_>>())
            .special_tokens(vec![AddedToken::from(END_OF_DOCUMENT, true)])
            .build();
        let mut budget = MAX_TRAINING_BYTES;
        let sample = texts.iter().copied().take_while(|text| {
            let fits = budget >= text.len();
            budget = budget.saturating_sub(text.len());
            fits
        });
        inner.train(&mut TrainerWrapper::from(trainer), sample).map_err(reason)?;
        let json = inner.to_string(true).map_err(reason)?;
        Self::from_json(json)
    }

    /// Parses a `tokenizer.json`.
    ///
    /// # Errors
    /// Fails if the text is not a `tokenizer.json`, or the tokenizer is not byte-level or has no end-of-document token.
    pub fn from_json(json: String) -> Result<Self, TokenizerError> {
        let reason = |error: tokenizers::Error| TokenizerError::Parse { reason: error.to_string() };
        let mut inner: Inner = json.parse().map_err(reason)?;
        inner.with_truncation(None).map_err(reason)?;
        inner.with_padding(None);
        // Text that spells out a special token is ordinary text.
        inner.set_encode_special_tokens(true);
        let end_of_document =
            KNOWN_ENDS.iter().find_map(|token| inner.token_to_id(token)).ok_or(TokenizerError::NoEnd)?;
        let byte_lengths = byte_lengths(&inner)?;
        Ok(Self { inner, json, end_of_document, byte_lengths })
    }

    /// The content of its `tokenizer.json`.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Number of rows of an embedding table for it: its largest token plus one.
    #[must_use]
    pub fn vocab(&self) -> u32 {
        self.byte_lengths.len() as u32
    }

    /// Token written after each document.
    #[must_use]
    pub fn end_of_document(&self) -> u32 {
        self.end_of_document
    }

    /// Bytes of text that each token stands for, indexed by token; 0 for special tokens.
    #[must_use]
    pub fn byte_lengths(&self) -> &[u16] {
        &self.byte_lengths
    }

    /// Tokenizes a text.
    ///
    /// # Errors
    /// Fails if the tokenizer loses or adds text, after its own normalisation.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let reason = |error: tokenizers::Error| TokenizerError::Encode { reason: error.to_string() };
        let tokens = self.inner.encode_fast(text, false).map_err(reason)?.get_ids().to_vec();
        let encoded = tokens.iter().map(|&token| usize::from(self.byte_lengths[token as usize])).sum();
        let text = match self.inner.get_normalizer() {
            None => text.len(),
            Some(normalizer) => {
                let mut normalized = NormalizedString::from(text);
                normalizer.normalize(&mut normalized).map_err(reason)?;
                normalized.get().len()
            }
        };
        if encoded == text { Ok(tokens) } else { Err(TokenizerError::Lossy { encoded, text }) }
    }

    /// Tokenizes texts on all cores.
    ///
    /// # Errors
    /// Fails like [`Tokenizer::encode`].
    pub fn encode_all(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, TokenizerError> {
        texts.par_iter().map(|text| self.encode(text)).collect()
    }

    /// Decodes tokens, with special ones spelt out. Bytes of incomplete characters become U+FFFD.
    ///
    /// # Errors
    /// Fails as `tokenizers` does.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, false).map_err(|error| TokenizerError::Encode { reason: error.to_string() })
    }
}

/// Bytes per token. Byte-level vocabularies write each byte as one character of a fixed alphabet of 256.
fn byte_lengths(inner: &Inner) -> Result<Vec<u16>, TokenizerError> {
    let alphabet = ByteLevel::alphabet();
    let added = inner.get_added_tokens_decoder();
    let vocab = inner.get_vocab(true);
    let largest = vocab.values().copied().max().map_or(0, |id| id as usize);
    // Token ids need not be dense, but a table a thousand times the size of the vocabulary means a damaged file.
    if largest > 1000 * (vocab.len() + 1000) {
        return Err(TokenizerError::Parse {
            reason: format!("token number {largest} in a vocabulary of {}", vocab.len()),
        });
    }
    let mut lengths = vec![0; largest + 1];
    for (token, id) in vocab {
        let not_bytes = || TokenizerError::NotByteLevel { id, token: token.clone() };
        let length = match added.get(&id) {
            Some(added) if added.special => 0,
            Some(added) => added.content.len(),
            None if token.chars().all(|character| alphabet.contains(&character)) => token.chars().count(),
            None => return Err(not_bytes()),
        };
        lengths[id as usize] = u16::try_from(length).map_err(|_| not_bytes())?;
    }
    Ok(lengths)
}
