//! What a preparation is doing, for those who watch it.

/// A step of the preparation and how far it has got. Steps come in the order of the variants, each from zero to its
/// total; a preparation that finds its result again reports [`Progress::Hashing`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Hashing the source files, to see whether they were prepared before. In bytes.
    Hashing {
        /// Bytes hashed.
        done: u64,
        /// Bytes of all source files.
        total: u64,
    },
    /// Taking the text out of the source files. In files.
    Extracting {
        /// Files read.
        done: u64,
        /// Source files.
        total: u64,
    },
    /// Training the tokenizer. It reports no progress of its own.
    TrainingTokenizer {
        /// Bytes of text it is trained on.
        bytes: u64,
    },
    /// Turning text into tokens and writing them. In bytes of text, of both splits.
    Tokenizing {
        /// Bytes tokenized.
        done: u64,
        /// Bytes of text.
        total: u64,
    },
}

/// Where progress goes. `Sync`, because the work is done by many threads.
pub type ProgressSink<'a> = &'a (dyn Fn(Progress) + Sync);
