//! Progress of a preparation.

/// A step of the preparation and its progress. Steps come in the order of the variants, each from zero to its total; a
/// preparation that finds its result again reports only [`Progress::Hashing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Hashing the source files, to find an earlier preparation. In bytes.
    Hashing {
        /// Bytes hashed.
        done: u64,
        /// Bytes of all source files.
        total: u64,
    },
    /// Reading the source files for a sample to train a tokenizer on, unless one was given. In files.
    Extracting {
        /// Files read.
        done: u64,
        /// Number of source files.
        total: u64,
    },
    /// Training the tokenizer, which reports no progress of its own.
    TrainingTokenizer {
        /// Bytes of training text.
        bytes: u64,
    },
    /// Reading the source files, tokenizing and writing. In bytes of text, over both splits.
    Tokenizing {
        /// Bytes tokenized.
        done: u64,
        /// Bytes of text; of the source files, if a tokenizer was given and nothing was read before.
        total: u64,
    },
}

/// Receives progress. `Sync`, because many threads do the work.
pub type ProgressSink<'a> = &'a (dyn Fn(Progress) + Sync);
