//! Byte-level BPE: every text can be tokenized, and every token stands for an exact number of bytes.
//!
//! The second property allows a loss per byte, which can be compared between tokenizers. It is the reason for refusing
//! tokenizers that are not byte-level (SentencePiece, WordPiece).

mod given;

use std::collections::{BTreeMap, HashSet};

use rayon::prelude::*;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner};

use given::Given;

/// Token written after each document by tokenizers trained here.
pub const END_OF_DOCUMENT: &str = "<|endoftext|>";

/// Names of that token in the tokenizers of published models.
const KNOWN_ENDS: [&str; 8] = [
    END_OF_DOCUMENT,
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|im_end|>",
    "[EOS]",
    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
    "<|end_of_sentence|>",
];

/// Smallest vocabulary: 256 bytes and the end of a document.
pub const MIN_VOCAB: u32 = 257;

/// Bytes of text a tokenizer is trained on at most: all of a smaller corpus, a random sample of a larger one. The trainer
/// counts pairs in 32 bits, and keeps every different word in memory.
pub const MAX_TRAINING_BYTES: u64 = 1 << 28;

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
        /// The problem, or the message of the `tokenizers` crate.
        reason: String,
    },
    /// Its normalizer turns the text into another, of which nobody else would measure a loss.
    #[error(
        "the tokenizer's normalizer {normalizer} changes the text, so that a loss per byte would not be about the text as \
         it is: take the normalizer out of the tokenizer.json, or use another tokenizer"
    )]
    ChangesText {
        /// Type of the normalizer.
        normalizer: String,
    },
    /// A token does not stand for bytes.
    #[error("not a byte-level tokenizer: its token {id} is {token:?}")]
    NotByteLevel { id: u32, token: String },
    /// None of the special tokens is a known end of a document.
    #[error(
        "none of the tokenizer's special tokens ends a document (known: {}; it has {special}): mark one of them as special \
         in `added_tokens`",
        KNOWN_ENDS.join(", ")
    )]
    NoEnd {
        /// The special tokens that it has.
        special: String,
    },
    #[error("tokenize a document: {reason}")]
    Encode {
        /// Message of the `tokenizers` crate.
        reason: String,
    },
    /// A document's tokens do not add up to its text.
    #[error(
        "the tokens of a document stand for {encoded} bytes that are not its {text}: the tokenizer changes, drops or adds \
         text: {suspect}"
    )]
    Lossy {
        /// Bytes that its tokens stand for.
        encoded: usize,
        /// Bytes of the document.
        text: usize,
        /// The likely reason, as a clause.
        suspect: String,
    },
}

/// A tokenizer, with the byte lengths of its tokens.
#[derive(Debug)]
pub struct Tokenizer {
    inner: Inner,
    json: String,
    end_of_document: u32,
    byte_lengths: Vec<u16>,
    /// The bytes that each token stands for, by token.
    pieces: Vec<Box<[u8]>>,
    /// What was switched off.
    notes: Vec<String>,
    /// What may be the reason if its tokens do not add up to a text.
    suspect: String,
}

impl Tokenizer {
    /// Trains byte-level BPE on texts, which need not be in memory; the same texts give the same tokenizer.
    ///
    /// # Errors
    /// Fails if the vocabulary is smaller than [`MIN_VOCAB`]. One larger than the texts support is reduced.
    pub fn train<I>(texts: I, vocab_size: u32) -> Result<Self, TokenizerError>
    where
        I: IntoIterator<IntoIter: Send, Item: AsRef<str>>,
    {
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
        let parts = texts.into_iter().flat_map(|text| parts(text.as_ref()).map(str::to_owned).collect::<Vec<_>>());
        inner.train(&mut TrainerWrapper::from(trainer), parts).map_err(reason)?;
        let json = inner.to_string(true).map_err(reason)?;
        Self::from_json(json)
    }

    /// Parses a `tokenizer.json`. What would make its tokens stand for another text, or for other tokens each time, is
    /// switched off if that leaves a usable tokenizer: [`Self::notes`].
    ///
    /// # Errors
    /// Fails if the text is not a `tokenizer.json`, or the tokenizer is not byte-level, changes the text or has no
    /// end-of-document token.
    pub fn from_json(json: String) -> Result<Self, TokenizerError> {
        let Given { json, value, notes } = given::adjust(json)?;
        let (inner, suspect) = (parsed(&value.to_string())?, given::suspect(&value));
        let added = inner.get_added_tokens_decoder();
        let is_special = |id: &u32| added.get(id).is_some_and(|token| token.special);
        let known = KNOWN_ENDS.iter().find_map(|token| inner.token_to_id(token).filter(is_special));
        let Some(end_of_document) = known else {
            let special: BTreeMap<u32, &str> = added
                .iter()
                .filter(|(_, token)| token.special)
                .map(|(id, token)| (*id, token.content.as_str()))
                .collect();
            let names: Vec<&str> = special.into_values().take(8).collect();
            let special = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(TokenizerError::NoEnd { special });
        };
        let pieces = pieces(&inner)?;
        let byte_lengths = pieces
            .iter()
            .zip(0..)
            .map(|(piece, id)| {
                u16::try_from(piece.len()).map_err(|_| TokenizerError::NotByteLevel {
                    id,
                    token: inner.id_to_token(id).unwrap_or_default().chars().take(80).collect(),
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { inner, json, end_of_document, byte_lengths, pieces, notes, suspect })
    }

    /// What was switched off in a tokenizer from elsewhere, as sentences.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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
    /// Fails if the tokens are not exactly the text's.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let reason = |error: tokenizers::Error| TokenizerError::Encode { reason: error.to_string() };
        let mut tokens = Vec::new();
        for part in parts(text) {
            tokens.extend_from_slice(self.inner.encode_fast(part, false).map_err(reason)?.get_ids());
        }
        let mut rest = text.as_bytes();
        let is_whole = tokens.iter().all(|&token| match rest.strip_prefix(self.bytes(token)) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        });
        if is_whole && rest.is_empty() {
            return Ok(tokens);
        }
        let encoded = tokens.iter().map(|&token| self.bytes(token).len()).sum();
        Err(TokenizerError::Lossy { encoded, text: text.len(), suspect: self.suspect.clone() })
    }

    /// The bytes that a token stands for: none for special tokens, and for one outside the vocabulary.
    #[must_use]
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.pieces.get(token as usize).map_or(&[], |piece| piece)
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

/// Bytes of a text that are tokenized at once: the library needs a hundred times as much memory.
const PART_BYTES: usize = 1 << 17;

/// Cuts a long text between words, where no pre-tokenizer in use has a token across the cut.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let is_cut = |at: &usize| {
            bytes[*at] == b' '
                && bytes[at - 1].is_ascii_alphanumeric()
                && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
        };
        let cut = (PART_BYTES..bytes.len()).find(is_cut).unwrap_or(bytes.len());
        let (part, after) = rest.split_at(cut);
        rest = after;
        Some(part)
    })
}

fn parsed(json: &str) -> Result<Inner, TokenizerError> {
    let reason = |error: tokenizers::Error| TokenizerError::Parse { reason: error.to_string() };
    let mut inner: Inner = json.parse().map_err(reason)?;
    inner.with_truncation(None).map_err(reason)?;
    inner.with_padding(None);
    // Text that spells out a special token is ordinary text.
    inner.set_encode_special_tokens(true);
    Ok(inner)
}

/// The bytes of each token. Byte-level vocabularies write each byte as one character of a fixed alphabet of 256.
fn pieces(inner: &Inner) -> Result<Vec<Box<[u8]>>, TokenizerError> {
    let byte_of: BTreeMap<char, u8> = alphabet();
    let added = inner.get_added_tokens_decoder();
    let vocab = inner.get_vocab(true);
    let largest = vocab.values().copied().max().map_or(0, |id| id as usize);
    // Token ids need not be dense, but a table a thousand times the size of the vocabulary means a damaged file.
    if largest > 1000 * (vocab.len() + 1000) {
        return Err(TokenizerError::Parse {
            reason: format!("token number {largest} in a vocabulary of {}", vocab.len()),
        });
    }
    let mut pieces = vec![Box::<[u8]>::default(); largest + 1];
    for (token, id) in vocab {
        pieces[id as usize] = match added.get(&id) {
            Some(added) if added.special => Box::default(),
            Some(added) => added.content.as_bytes().into(),
            None => token
                .chars()
                .map(|character| byte_of.get(&character).copied())
                .collect::<Option<_>>()
                .ok_or(TokenizerError::NotByteLevel { id, token })?,
        };
    }
    Ok(pieces)
}

/// The byte behind each character of the alphabet: printable ones stand for themselves, the others follow from 256 on.
fn alphabet() -> BTreeMap<char, u8> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let themselves = (0..=u8::MAX).filter(is_printable).map(|byte| (char::from(byte), byte));
    let others = ('\u{100}'..).zip((0..=u8::MAX).filter(|byte| !is_printable(byte)));
    themselves.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TEXT: &str = "The quick brown fox, \u{e9}t\u{e9} 12 \u{732b} </s> and  spaces\n\tTHE END";

    fn trained() -> Value {
        let tokenizer = Tokenizer::train(&[TEXT, TEXT], 300).expect("is trained");
        serde_json::from_str(tokenizer.json()).expect("is JSON")
    }

    /// The tokenizer of a file with some of its keys changed.
    fn with(changes: &[(&str, Value)]) -> Result<Tokenizer, TokenizerError> {
        let mut json = trained();
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            json.pointer_mut(parent).expect("is there")[key] = value.clone();
        }
        Tokenizer::from_json(json.to_string())
    }

    fn decoded(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
        tokens.iter().flat_map(|&token| tokenizer.bytes(token).to_vec()).collect()
    }

    #[test]
    fn the_alphabet_is_that_of_the_library() {
        let theirs: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
        assert_eq!(alphabet().into_keys().collect::<HashSet<_>>(), theirs);
        let plain = with(&[]).expect("is read");
        assert_eq!(decoded(&plain, &plain.encode(TEXT).expect("is lossless")), TEXT.as_bytes());
        assert_eq!((plain.notes(), plain.json()), (&[][..], trained().to_string().as_str()));
    }

    #[test]
    fn dropout_is_switched_off_aloud() {
        let noisy = with(&[("/model/dropout", json!(0.9))]).expect("is read");
        assert!(noisy.notes()[0].contains("dropout of 0.9"), "{:?}", noisy.notes());
        let expected = with(&[]).expect("is read").encode(TEXT).expect("is lossless");
        for _ in 0..5 {
            assert_eq!(noisy.encode(TEXT).expect("is lossless"), expected);
        }
        assert!(!noisy.json().contains("0.9"), "an export must tokenize as training did");
    }

    #[test]
    fn a_space_that_is_not_there_is_not_put_there() {
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true});
        let expected = with(&[]).expect("is read").encode(TEXT).expect("is lossless");
        for step in [bytes.clone(), json!({"type": "Sequence", "pretokenizers": [bytes]})] {
            let spaced = with(&[("/pre_tokenizer", step)]).expect("is read");
            assert_eq!(spaced.encode(TEXT).expect("is lossless"), expected);
            assert!(spaced.notes()[0].contains("add_prefix_space"), "{:?}", spaced.notes());
        }
    }

    #[test]
    fn bytes_may_be_the_work_of_the_normalizer() {
        let split =
            json!({"type": "Split", "pattern": {"Regex": " ?\\p{L}+|\\s+|."}, "behavior": "Isolated", "invert": false});
        for normalizer in [
            json!({"type": "ByteLevel"}),
            json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "ByteLevel"}]}),
        ] {
            let tokenizer = with(&[("/normalizer", normalizer), ("/pre_tokenizer", split.clone())]).expect("is read");
            let tokens = tokenizer.encode(TEXT).expect("is lossless");
            assert_eq!(decoded(&tokenizer, &tokens), TEXT.as_bytes());
        }
    }

    #[test]
    fn text_that_is_not_composed_keeps_its_bytes() {
        let tokenizer = with(&[("/normalizer", json!({"type": "NFC"}))]).expect("is read");
        let text = "e\u{301} and \u{212b}";
        assert_eq!(decoded(&tokenizer, &tokenizer.encode(text).expect("is lossless")), text.as_bytes());
        assert!(tokenizer.json().contains("NFC"), "the file is stored as it was given");
    }

    #[test]
    fn normalizers_that_change_text_are_refused_by_name() {
        for (name, normalizer) in [
            ("Lowercase", json!({"type": "Lowercase"})),
            ("NFKC", json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]})),
            ("StripAccents", json!({"type": "StripAccents"})),
            ("Strip", json!({"type": "Strip", "strip_left": true, "strip_right": true})),
            ("Replace", json!({"type": "Replace", "pattern": {"String": " "}, "content": "_"})),
            ("Prepend", json!({"type": "Prepend", "prepend": "_"})),
        ] {
            let error = with(&[("/normalizer", normalizer)]).expect_err(name).to_string();
            assert!(error.contains(&format!("normalizer {name} changes the text")), "{error}");
        }
    }

    #[test]
    fn special_tokens_alone_end_documents() {
        let added = |content: &str, special| {
            json!([{"id": 0, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": special}])
        };
        let mut json = trained();
        // An ordinary piece that looks like an end, beside a special token that is one.
        let vocab = json.pointer_mut("/model/vocab").and_then(Value::as_object_mut).expect("is there");
        let plain = vocab.len();
        vocab.insert("</s>".to_owned(), plain.into());
        let tokenizer = Tokenizer::from_json(json.to_string()).expect("is read");
        assert_eq!((tokenizer.end_of_document(), tokenizer.bytes(plain as u32)), (0, &b"</s>"[..]));
        json["added_tokens"] = added("<|endoftext|>", false);
        let error = Tokenizer::from_json(json.to_string()).expect_err("has no special token").to_string();
        assert!(error.contains("it has none"), "{error}");
        let vocab = json.pointer_mut("/model/vocab").and_then(Value::as_object_mut).expect("is there");
        let end = "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>";
        vocab.remove("<|endoftext|>");
        vocab.insert(end.to_owned(), 0.into());
        json["added_tokens"] = added(end, true);
        assert_eq!(Tokenizer::from_json(json.to_string()).expect("is read").end_of_document(), 0);
    }

    #[test]
    fn what_a_file_carries_along_adds_no_tokens() {
        let plain = with(&[]).expect("is read").encode(TEXT).expect("is lossless");
        let tokenizer = with(&[
            ("/truncation", json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0})),
            (
                "/padding",
                json!({"strategy": {"Fixed": 500}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                       "pad_type_id": 0, "pad_token": "<|endoftext|>"}),
            ),
            (
                "/post_processor",
                json!({"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                       "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                       "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}}),
            ),
        ]);
        assert_eq!(tokenizer.expect("is read").encode(TEXT).expect("is lossless"), plain);
    }

    #[test]
    fn a_tokenizer_that_loses_text_is_suspected_of_something() {
        let lossy = |changes: &[(&str, Value)], text: &str| {
            with(changes).expect("is read").encode(text).expect_err("loses text").to_string()
        };
        let error = lossy(&[("/pre_tokenizer", json!({"type": "Whitespace"}))], "two words");
        assert!(error.contains("is a ByteLevel"), "{error}");
        let mut json = trained();
        let vocab = json.pointer_mut("/model/vocab").and_then(Value::as_object_mut).expect("is there");
        let next = vocab.len();
        vocab.remove("Z");
        json["added_tokens"].as_array_mut().expect("a list").push(json!({"id": next, "content": "<mask>",
            "single_word": false, "lstrip": true, "rstrip": false, "normalized": false, "special": false}));
        let masked = Tokenizer::from_json(json.to_string()).expect("is read");
        let error = masked.encode("a <mask>").expect_err("loses a space").to_string();
        assert!(error.contains("<mask>") && error.contains("lstrip"), "{error}");
        json["added_tokens"].as_array_mut().expect("a list").pop();
        json["model"]["unk_token"] = "<|endoftext|>".into();
        let unknown = Tokenizer::from_json(json.to_string()).expect("is read");
        let error = unknown.encode("aZ").expect_err("lacks a letter").to_string();
        assert!(error.contains("becomes \"<|endoftext|>\""), "{error}");
    }

    #[test]
    fn what_is_not_a_tokenizer_json_is_named_as_such() {
        for text in ["{\"hello\": 1}", "[]", "#version: 0.2", ""] {
            let error = Tokenizer::from_json(text.to_owned()).expect_err("is refused").to_string();
            assert!(error.starts_with("not a tokenizer.json"), "{error}");
        }
    }

    #[test]
    fn long_texts_are_tokenized_in_parts_that_give_the_same_tokens() {
        let text: String = (0..80_000_u64).map(|i| format!("word{} ", (i * i) % 9973)).collect();
        assert!(parts(&text).count() > 2 && parts(&text).collect::<String>() == text);
        let tokenizer = Tokenizer::train(&[&text], 400).expect("is trained");
        let whole = tokenizer.inner.encode_fast(text.as_str(), false).expect("tokenizes").get_ids().to_vec();
        assert_eq!(tokenizer.encode(&text).expect("is lossless"), whole);
        let unbroken = "x".repeat(PART_BYTES * 2);
        assert_eq!(parts(&unbroken).count(), 1);
    }
}
