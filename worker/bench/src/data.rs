//! Makes tokens to train on, for any vocabulary: random ones cost a step as much as real ones.

use std::path::{Path, PathBuf};

use corpus::dataset::WriteError;
use corpus::split::Split;
use corpus::tokenizer::{MIN_VOCAB, Tokenizer, TokenizerError};
use corpus::{DatasetWriter, OpenDataset, OpenError};
use serde_json::Value;
use vocabulary::{DatasetId, Dropped};

/// Training tokens.
const TRAIN_TOKENS: usize = 1 << 20;
/// Held-out tokens; a stage needs some, although nothing here is validated.
const HELD_OUT_TOKENS: usize = 1 << 13;

/// Random data that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot make a tokenizer of {vocab} tokens")]
    Tokenizer {
        vocab: u32,
        #[source]
        source: TokenizerError,
    },
    /// The tokenizer's JSON does not have the form that is extended here.
    #[error("a tokenizer's JSON has no vocabulary")]
    Form,
    #[error("cannot write random tokens")]
    Write(#[from] WriteError),
    #[error("cannot open random tokens")]
    Open(#[from] OpenError),
}

/// Writes a dataset of random tokens of this vocabulary to a directory of its own below `folder`.
pub(crate) fn random_tokens(folder: &Path, vocab: u32) -> Result<(DatasetId, PathBuf), DataError> {
    let tokenizer = tokenizer(vocab)?;
    let mut writer = DatasetWriter::new(folder, &tokenizer)?;
    let mut state = u64::from(vocab);
    let mut token = |_| {
        // Constants of PCG; the high half is random enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((state >> 32) * u64::from(vocab)) >> 32) as u32
    };
    for (split, count) in [(Split::Train, TRAIN_TOKENS), (Split::Validation, HELD_OUT_TOKENS)] {
        let tokens: Vec<u32> = (0..count).map(&mut token).collect();
        writer.push_tokens(split, &tokens)?;
    }
    let (dataset, dir) = writer.finish(vec!["random tokens".to_owned()], Dropped::default())?;
    OpenDataset::open(&dir)?;
    Ok((dataset.id, dir))
}

/// Makes a tokenizer with this many tokens. Training one would need a rich text; nothing is ever encoded here, so pairs
/// of bytes suffice.
fn tokenizer(vocab: u32) -> Result<Tokenizer, DataError> {
    let failed = |source| DataError::Tokenizer { vocab, source };
    let smallest = Tokenizer::train(std::iter::empty::<&str>(), vocab.min(MIN_VOCAB)).map_err(failed)?;
    let mut json: Value = serde_json::from_str(smallest.json()).map_err(|_| DataError::Form)?;
    let tokens = json.pointer_mut("/model/vocab").and_then(Value::as_object_mut).ok_or(DataError::Form)?;
    let bytes: Vec<String> = tokens.keys().filter(|token| token.chars().count() == 1).cloned().collect();
    let pairs = bytes.iter().flat_map(|first| bytes.iter().map(move |second| format!("{first}{second}")));
    let numbers = tokens.len() as u32..vocab;
    tokens.extend(pairs.zip(numbers).map(|(pair, number)| (pair, number.into())));
    Tokenizer::from_json(json.to_string()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_vocabulary_has_tokens_from_first_to_last() {
        let folder = tempfile::tempdir().expect("a directory");
        for vocab in [257, 512, 4096] {
            let (id, dir) = random_tokens(folder.path(), vocab).expect("is written");
            let data = OpenDataset::open(&dir).expect("opens");
            assert_eq!((data.dataset().id, data.dataset().vocab), (id, vocab));
            let batch = vocabulary::Batch { sequences: 512, context: 128, micro_sequences: 512, lanes: 1 };
            let batch = data.train_batch(1, 0, &batch).expect("is enough");
            assert_eq!(batch.inputs.iter().min(), Some(&0), "of {vocab}");
            assert_eq!(batch.inputs.iter().max(), Some(&(vocab as i32 - 1)), "of {vocab}");
        }
    }

    #[test]
    fn too_small_a_vocabulary_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        assert!(matches!(random_tokens(folder.path(), 200), Err(DataError::Tokenizer { vocab: 200, .. })));
    }
}
